// Fixtures for tests of the C library. The tests link with libevfd.so and start a daemon for each
// test case.
#pragma once

#include "evfd.h"
#include "tests/support/daemon_process.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

namespace evfd::e2e {

inline constexpr std::int64_t timeout_ns = default_timeout.count();

// Returns the result `returned` of a function of the C library. If the result is negative, the
// function failed, and ok() throws an exception with the library's error message.
template <class Number>
Number ok(Number returned)
{
    require(returned >= 0, evfd_error());
    return returned;
}

// Requires that a function of the C library failed: `returned` must be -`error`, errno must be
// `error`, and evfd_error() must return a message. Throws an exception if not.
inline void expect_error(std::int64_t returned, int error)
{
    const int set = errno;
    const std::string message{evfd_error()};
    require(set == error, std::string{"errno is "} + ::strerror(set) + ": " + message);
    require(returned == -error,
            std::to_string(returned) + ", not " + ::strerrorname_np(error) + ": " + message);
    require(message.size() > 10, "the function left no message");
}

// A daemon to which the C library in this process is connected.
template <class D = DaemonProcess>
struct ConnectedDaemon : D {
    explicit ConnectedDaemon(std::vector<std::string> options = {}) : D{std::move(options)}
    {
        ok(evfd_connect(this->path().c_str()));
    }
};

// The members of evfd_schedule with default values, so that a test names only the members that it
// needs.
struct ScheduleSpec {
    std::int64_t first_ns = 0;
    std::int64_t interval_ns = 0;
    const char* sets = nullptr;
    int clock = EVFD_CLOCK_DEFAULT;
    int flags = 0;
    std::uint64_t reserved = 0;

    // The conversion is implicit, so that a test can use a ScheduleSpec as an evfd_schedule.
    operator evfd_schedule() const // NOLINT
    {
        return {first_ns, interval_ns, sets, clock, flags, {0, 0, 0, reserved}};
    }
};

inline int create_event(const char* name, int mode = EVFD_MANUAL, std::int64_t initial = 0)
{
    return ok(evfd_open(name, EVFD_CREATE | mode, 0666, initial));
}

} // namespace evfd::e2e
