// Tests of the C library in a process that can open no more descriptors, and in a process without
// /proc.
#include "tests/c/fixture.h"
#include "tests/support/resource_limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

// Returns the number that the kernel will give to the next descriptor of this process.
rlim_t next_descriptor_number()
{
    return static_cast<rlim_t>(UniqueFd{::dup(STDERR_FILENO)}.get());
}

bool is_open(int fd)
{
    return ::fcntl(fd, F_GETFD) != -1;
}

// Returns whether the number refers to an eventfd. is_open() cannot show that an event was closed:
// a thread of the library can reconnect, and its new socket can get the closed number.
bool is_open_event(int fd)
{
    std::error_code none;
    const auto file = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
    return file.string().starts_with("anon_inode:");
}

TEST_CASE("an open without a free descriptor fails, and subscriptions and objects continue")
{
    const ConnectedDaemon daemon;
    const int temporary = ok(evfd_open("temporary", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
    const int pulse = create_event("pulse", EVFD_PULSE);
    {
        const DescriptorLimit limit{next_descriptor_number()};
        expect_error(evfd_open("pulse", 0, 0, 0), EMFILE);
        expect_error(evfd_open("temporary", 0, 0, 0), EMFILE);
        CHECK(evfd_is_set_name("temporary") == 0);
    }
    CHECK(value_or_throw(daemon.client().show("pulse")).subscribers == 1);
    CHECK(evfd_set(pulse) == 0);
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    CHECK(evfd_close(pulse) == 0);
    CHECK(evfd_close(temporary) == 0);
}

TEST_CASE("a connection without a free descriptor fails with EMFILE")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e");
    {
        const DescriptorLimit limit{next_descriptor_number()};
        expect_error(evfd_connect(daemon.path().c_str()), EMFILE);
        // A wait by name uses a separate connection, for which no descriptor is free.
        expect_error(evfd_wait_name("e", 0), EMFILE);
    }
    expect_error(evfd_wait_name("e", 0), ETIMEDOUT);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("without a free descriptor evfd_wait_until fails only if it has to sleep")
{
    const ConnectedDaemon daemon;
    const evfd_schedule once = ScheduleSpec{.first_ns = 1};
    ok(evfd_arm_name("tick", &once, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int fd = create_event("e", mode);
    const DescriptorLimit limit{next_descriptor_number()};
    for (const int clock : {EVFD_CLOCK_REALTIME, EVFD_CLOCK_BOOTTIME, EVFD_CLOCK_MONOTONIC}) {
        CAPTURE(clock);
        ok(evfd_arm(tick, &once));
        CHECK(poll_until([&] { return evfd_is_set(tick) == 1; }));
        CHECK(evfd_wait_until(tick, clock, INT64_MAX) == 1);
        ok(evfd_set(fd));
        CHECK(evfd_wait_until(fd, clock, INT64_MAX) == 1);
        ok(evfd_clear(fd));
        expect_error(evfd_wait_until(fd, clock, 1), ETIMEDOUT);
    }
    for (const int clock : {EVFD_CLOCK_REALTIME, EVFD_CLOCK_BOOTTIME}) {
        expect_error(evfd_wait_until(fd, clock, INT64_MAX), EMFILE);
        CHECK(std::string_view{evfd_error()}.contains("free descriptor; close"));
    }
    CHECK(evfd_close(tick) == 0);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_close closes a descriptor that it cannot examine")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_PULSE));
    REQUIRE(is_open_event(fd));
    const DescriptorLimit limit{next_descriptor_number()};
    CHECK(evfd_close(fd) == 0);
    CHECK_FALSE(is_open_event(fd));
}

TEST_CASE("evfd_close closes a descriptor without /proc")
{
    skip_unless_root("change the root directory");
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_PULSE));
    Worker worker{[&](const WorkerSocket&) {
        require(::chroot((daemon.directory() / "").c_str()) == 0, "chroot(2)");
        ok(evfd_close(fd));
        require(!is_open(fd), "the descriptor is still open");
    }};
    CHECK(worker.wait() == 0);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
