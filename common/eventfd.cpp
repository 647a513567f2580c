#include "common/eventfd.h"

#include "common/limits.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>

namespace evfd {

namespace {

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key, int base)
{
    const auto at = text.find(key);
    if (at == std::string_view::npos)
        return {};
    text.remove_prefix(at + key.size());
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
    std::uint64_t value = 0;
    if (std::from_chars(text.begin(), text.end(), value, base).ec != std::errc{})
        return {};
    return value;
}

} // namespace

Result<UniqueFd> make_eventfd(unsigned initial, Counter counter)
{
    const int flags =
        EFD_NONBLOCK | EFD_CLOEXEC | (counter == Counter::semaphore ? EFD_SEMAPHORE : 0);
    UniqueFd fd{::eventfd(initial, flags)};
    if (!fd)
        return std::unexpected(Fault::last("eventfd(2)"));
    return fd;
}

Result<UniqueFd> duplicate(const UniqueFd& fd)
{
    UniqueFd copy{::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)};
    if (!copy)
        return std::unexpected(Fault::last("fcntl(F_DUPFD_CLOEXEC)"));
    return copy;
}

Result<std::uint64_t> take(const UniqueFd& eventfd)
{
    std::uint64_t taken = 0;
    const auto done = take_into(eventfd, taken);
    return done ? Result<std::uint64_t>{taken} : std::unexpected(done.error());
}

Result<bool> take_into(const UniqueFd& eventfd, std::uint64_t& taken)
{
    const iovec into{&taken, sizeof taken};
    // RWF_NOWAIT makes the read fail with EAGAIN even if a process has made the open file blocking:
    // see preadv2(2).
    while (::preadv2(eventfd.get(), &into, 1, -1, RWF_NOWAIT) < 0) {
        if (errno == EAGAIN)
            return false;
        if (errno != EINTR)
            return std::unexpected(Fault::last("preadv2(2)"));
    }
    return true;
}

Result<bool> drain(const UniqueFd& semaphore, std::optional<std::uint64_t>& remaining,
                   const TimeSlice& slice)
{
    do {
        if (remaining == 0U)
            return true;
        const auto taken = take(semaphore);
        if (!taken)
            return std::unexpected(taken.error());
        if (*taken == 0)
            return true;
        if (remaining)
            --*remaining;
    } while (slice.left());
    if (!remaining)
        remaining = count(semaphore).value_or(max_tokens_per_clear);
    if (*remaining > static_cast<std::uint64_t>(max_tokens_per_clear))
        return std::unexpected(Fault{"preadv2(2)", E2BIG});
    return remaining == 0U;
}

Result<void> add(const UniqueFd& eventfd, std::uint64_t tokens)
{
    while (::write(eventfd.get(), &tokens, sizeof tokens) < 0)
        if (errno != EINTR)
            return std::unexpected(Fault::last("write(2)"));
    return {};
}

bool is_readable(const UniqueFd& fd)
{
    pollfd polled{fd.get(), POLLIN, 0};
    return TEMP_FAILURE_RETRY(::poll(&polled, 1, 0)) == 1 && (polled.revents & POLLIN) != 0;
}

Result<FdInfo> read_fdinfo(const UniqueFd& eventfd)
{
    const auto path = fmt::format("/proc/self/fdinfo/{}", eventfd.get());
    const UniqueFd info{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!info)
        return std::unexpected(Fault::last("open(/proc/self/fdinfo)"));
    std::array<char, 512> text{};
    const auto length = ::read(info.get(), text.data(), text.size());
    if (length < 0)
        return std::unexpected(Fault::last("read(/proc/self/fdinfo)"));

    const std::string_view lines{text.data(), static_cast<std::size_t>(length)};
    const auto count = number_after(lines, "eventfd-count:", 16);
    const auto flags = number_after(lines, "flags:", 8);
    if (!count || !flags)
        return std::unexpected(Fault{"/proc/self/fdinfo", EBADMSG});
    return FdInfo{*count, (*flags & O_NONBLOCK) == 0};
}

Result<std::uint64_t> count(const UniqueFd& eventfd)
{
    const auto state = read_fdinfo(eventfd);
    return state ? Result<std::uint64_t>{state->count} : std::unexpected(state.error());
}

Result<bool> make_nonblocking(const UniqueFd& eventfd)
{
    const int flags = ::fcntl(eventfd.get(), F_GETFL);
    if (flags < 0)
        return std::unexpected(Fault::last("fcntl(F_GETFL)"));
    if ((flags & O_NONBLOCK) != 0)
        return false;
    if (::fcntl(eventfd.get(), F_SETFL, flags | O_NONBLOCK) < 0)
        return std::unexpected(Fault::last("fcntl(F_SETFL)"));
    return true;
}

Result<UniqueFd> make_wait_only(const UniqueFd& eventfd)
{
    UniqueFd handle{::epoll_create1(EPOLL_CLOEXEC)};
    if (!handle)
        return std::unexpected(Fault::last("epoll_create1(2)"));
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(handle.get(), EPOLL_CTL_ADD, eventfd.get(), &event) < 0)
        return std::unexpected(Fault::last("epoll_ctl(2)"));
    return handle;
}

} // namespace evfd
