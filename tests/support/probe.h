// What the kernel tests put their questions with. Nothing here retries or hides an errno.
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

// Long enough for any machine that is only busy; it ends a test that would otherwise hang.
inline constexpr int deadline_ms = 20'000;

// 0, or the errno of the call that returned this. Asserting comes later: it may change errno.
inline int error_of(std::int64_t result)
{
    return result < 0 ? errno : 0;
}

// Which of `events`, POLLERR and POLLHUP hold at this moment.
inline short poll_now(const UniqueFd& fd, short events)
{
    pollfd polled{.fd = fd.get(), .events = events, .revents = 0};
    return ::poll(&polled, 1, 0) < 0 ? short{POLLNVAL} : polled.revents;
}

// Waits for one of `events`; false when the deadline passed.
inline bool await_events(const UniqueFd& fd, short events)
{
    pollfd polled{.fd = fd.get(), .events = events, .revents = 0};
    return ::poll(&polled, 1, deadline_ms) == 1 && (polled.revents & events) != 0;
}

// Empty when there is nothing to take, with the reason in errno. Never waits, also when the
// descriptor is a blocking one.
inline std::optional<std::uint64_t> read_counter(const UniqueFd& fd)
{
    std::uint64_t value = 0;
    const iovec into{.iov_base = &value, .iov_len = sizeof value};
    if (::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) != sizeof value)
        return std::nullopt;
    return value;
}

// The same of a non-blocking timerfd, which preadv2(2) with RWF_NOWAIT reads only since Linux 6.10.
inline std::optional<std::uint64_t> read_expirations(const UniqueFd& timer)
{
    std::uint64_t ticks = 0;
    if (::read(timer.get(), &ticks, sizeof ticks) != sizeof ticks)
        return std::nullopt;
    return ticks;
}

// A second descriptor of the same open file: what a client has after `open`.
inline UniqueFd duplicate(const UniqueFd& fd)
{
    return UniqueFd{::dup(fd.get())};
}

// 0 or -1, as epoll_ctl(2).
inline int add(const UniqueFd& epoll, const UniqueFd& fd, std::uint32_t events,
               std::uint64_t token = 0)
{
    epoll_event event{.events = events, .data = {.u64 = token}};
    return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event);
}

// An epoll_event without the packing, so that references may bind to its members.
struct EpollEvent {
    std::uint32_t events;
    std::uint64_t token;
};

// The next event of an epoll, or nothing when none came in time. 0: only what is pending.
inline std::optional<EpollEvent> next_event(const UniqueFd& epoll, int timeout_ms)
{
    epoll_event event{};
    if (::epoll_wait(epoll.get(), &event, 1, timeout_ms) != 1)
        return std::nullopt;
    return EpollEvent{.events = event.events, .token = event.data.u64};
}

// What follows "key:" in /proc/self/fdinfo, without the blanks; empty when there is no such line.
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

// How many descriptors this process may have open.
inline std::size_t descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 1'000'000));
}

// What `ask` returned in a child process: 0 or an errno. -1 when the child did not get that far.
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
