// What the usual case costs in the C library: a system call, and nothing else.
#include "tests/c_fixture.h"

#include <signal.h>

#include <atomic>
#include <cstdlib>

#ifndef EVFDD_SANITIZED

namespace {
std::atomic<std::size_t> allocations = 0;
}

// The C library's, for all of this program and what it is linked with. NOLINTNEXTLINE
extern "C" void* __libc_malloc(std::size_t size);
extern "C" void* malloc(std::size_t size) noexcept
{
    ++allocations;
    return __libc_malloc(size);
}

namespace evfd::e2e {
namespace {

TEST_CASE("a set, a look, a clear and a wait that need not sleep take no memory and no daemon")
{
    const Served daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE);
    const int fd = make("e", mode);
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    const auto before = allocations.load();
    bool holds = true;
    for (int i = 0; i < 1'000; ++i) {
        holds = holds && evfd_set(fd) == 0 && evfd_is_set(fd) == 1 &&
                evfd_wait(fd, EVFD_FOREVER) == 1 && evfd_set(fd) == 0;
        holds = holds && evfd_clear(fd) == 0;
    }
    const auto taken = allocations.load() - before;
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
    CHECK(holds);
    CHECK(taken == 0);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e

#endif
