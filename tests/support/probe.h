// System calls as short expressions, for the tests of the kernel and of the code that calls the
// kernel directly.
//
// Each function makes one system call, or waits for one event. No function retries a failed call or
// changes errno, because the tests check the behaviour of the kernel itself.
#pragma once

#include "common/unique_fd.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::probe {

// The time limit of a wait, in milliseconds. The limit is long enough for a busy machine, so only a
// test that hangs reaches the limit.
inline constexpr int deadline_ms = 20'000;

// Returns 0, or the errno of the call that returned `result`. A test must call error_of() before it
// makes an assertion, because an assertion can change errno.
inline int error_of(std::int64_t result)
{
    return result < 0 ? errno : 0;
}

// Calls poll(2) without waiting. Returns the field `revents` of the result, or POLLNVAL if poll(2)
// fails.
inline short poll_now(const UniqueFd& fd, short events)
{
    pollfd polled{.fd = fd.get(), .events = events, .revents = 0};
    return ::poll(&polled, 1, 0) < 0 ? short{POLLNVAL} : polled.revents;
}

// Waits for one of `events`. Returns false at the deadline.
inline bool await_events(const UniqueFd& fd, short events)
{
    pollfd polled{.fd = fd.get(), .events = events, .revents = 0};
    return ::poll(&polled, 1, deadline_ms) == 1 && (polled.revents & events) != 0;
}

// Reads the counter of an eventfd. Returns nothing if the read fails; errno then has the reason.
// The read never blocks, even if the descriptor is in blocking mode.
inline std::optional<std::uint64_t> read_counter(const UniqueFd& fd)
{
    std::uint64_t value = 0;
    const iovec into{.iov_base = &value, .iov_len = sizeof value};
    if (::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) != sizeof value)
        return std::nullopt;
    return value;
}

// Reads the number of expirations of a non-blocking timerfd. Uses read(2), because preadv2(2) with
// RWF_NOWAIT can read a timerfd only since Linux 6.10.
inline std::optional<std::uint64_t> read_expirations(const UniqueFd& timer)
{
    std::uint64_t ticks = 0;
    if (::read(timer.get(), &ticks, sizeof ticks) != sizeof ticks)
        return std::nullopt;
    return ticks;
}

// Returns a second descriptor of the open file to which `fd` refers. A client gets such a
// descriptor by the call Open.
inline UniqueFd duplicate(const UniqueFd& fd)
{
    return UniqueFd{::dup(fd.get())};
}

// Adds a descriptor to an epoll set. Returns 0 or -1 like epoll_ctl(2).
inline int add(const UniqueFd& epoll, const UniqueFd& fd, std::uint32_t events,
               std::uint64_t token = 0)
{
    epoll_event event{.events = events, .data = {.u64 = token}};
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event);
}

// The content of an epoll_event, for the assertions of Catch2. These assertions bind references to
// their operands. No reference can bind to a member of epoll_event, because epoll_event is packed.
struct EpollEvent {
    std::uint32_t events;
    std::uint64_t token;
};

// Returns the next event of an epoll, or nothing after the timeout. With a timeout of 0 the
// function does not wait.
inline std::optional<EpollEvent> next_event(const UniqueFd& epoll, int timeout_ms)
{
    epoll_event event{};
    if (::epoll_wait(epoll.get(), &event, 1, timeout_ms) != 1)
        return std::nullopt;
    return EpollEvent{.events = event.events, .token = event.data.u64};
}

// Returns the value of the field `key` in the descriptor's file in /proc/self/fdinfo, without
// leading blanks. Returns an empty string if the file has no such field.
inline std::string fdinfo(const UniqueFd& fd, std::string_view key)
{
    std::ifstream lines{"/proc/self/fdinfo/" + std::to_string(fd.get())};
    const std::string start = std::string{key} + ":";
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(start))
            continue;
        const auto value = line.find_first_not_of(" \t", start.size());
        return value == std::string::npos ? std::string{} : line.substr(value);
    }
    return {};
}

inline std::chrono::nanoseconds time_of(clockid_t clock)
{
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

inline timespec to_timespec(std::chrono::nanoseconds time)
{
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    return {.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
}

// Returns this process's soft limit of open files, or a million if the limit is higher.
inline std::size_t descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 1'000'000));
}

// Calls `function` in a child process and returns the result of `function`, which is 0 or an errno.
// Returns -1 if no child can be created or the child is killed.
template <class Function>
int in_child(Function function)
{
    const pid_t child = ::fork();
    if (child == 0)
        ::_exit(function());
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

} // namespace evfd::probe
