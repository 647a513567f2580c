// Tests that the most common operations of the C library work without the daemon, and allocate no
// memory.
#include "tests/c/fixture.h"
#include "tests/support/skip.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>

#ifdef EVFDD_SANITIZED

namespace {
std::size_t allocations()
{
    evfd::skip("the sanitizer replaces malloc");
}
} // namespace

#else

namespace {
std::atomic<std::size_t> allocated = 0;
std::size_t allocations()
{
    return allocated;
}
} // namespace

// Replaces malloc(), to count how often this program and its shared libraries allocate memory.
// NOLINTNEXTLINE
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* malloc(std::size_t size) noexcept
{
    ++allocated;
    return __libc_malloc(size);
}

#endif

namespace evfd::e2e {
namespace {

// Sets, tests, waits for in each way, and clears the event a thousand times. Returns false if a
// call failed.
bool set_test_wait_and_clear(int fd)
{
    for (int i = 0; i < 1'000; ++i)
        if (evfd_set(fd) != 0 || evfd_is_set(fd) != 1 || evfd_wait(fd, EVFD_FOREVER) != 1 ||
            evfd_set(fd) != 0 || evfd_trywait(fd) != 1 || evfd_set(fd) != 0 ||
            evfd_wait_until(fd, EVFD_CLOCK_REALTIME, 0) != 1 || evfd_set(fd) != 0 ||
            evfd_clear(fd) != 0)
            return false;
    return true;
}

TEST_CASE("set, is_set, clear and a wait that need not block work while the daemon is stopped")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE));
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    const bool has_succeeded = set_test_wait_and_clear(fd);
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
    CHECK(has_succeeded);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("set, is_set, clear and a wait that need not block allocate no memory")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE));
    const auto before = allocations();
    const bool has_succeeded = set_test_wait_and_clear(fd);
    const auto allocated_by_calls = allocations() - before;
    CHECK(has_succeeded);
    CHECK(allocated_by_calls == 0);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
