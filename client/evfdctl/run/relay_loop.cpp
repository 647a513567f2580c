#include "client/evfdctl/run/relay_loop.h"

#include "common/socket.h"
#include "client/evfdctl/output/failure.h"

#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

namespace evfd {

namespace {

constexpr std::size_t buffer_bytes = 64 * 1024;

bool comes_again(int error)
{
    return error == EINTR || error == EAGAIN || error == EWOULDBLOCK;
}

// What nothing is wanted of is passed over: that its other end is gone would ring without end.
pollfd asked(int fd, bool for_input, bool for_output)
{
    const int events = (for_input ? POLLIN : 0) | (for_output ? POLLOUT : 0);
    return {events != 0 ? fd : -1, static_cast<short>(events), 0};
}

} // namespace

// Standard input and output are left as they are, for others may have them too. So whatever may
// block is done only once poll(2) says that it does not.
Try<void> Relay::run()
{
    while (!back_.has_ended || !back_.is_empty()) {
        std::array<pollfd, 3> wanted{
            asked(input_, there_.wants_more(), false),
            asked(socket_.get(), back_.wants_more(), !there_.is_empty()),
            {output_, static_cast<short>(back_.is_empty() ? 0 : POLLOUT), 0}};
        if (::poll(wanted.data(), wanted.size(), -1) < 0) {
            if (errno == EINTR)
                continue;
            return std::unexpected(failed("poll(2)"));
        }
        const auto& [input, socket, output] = wanted;
        if ((output.revents & POLLOUT) != 0)
            tell();
        else if (output.revents != 0)
            return {}; // Nobody reads it any more.
        if (input.revents != 0)
            if (const auto listened = listen(); !listened)
                return listened;
        if (socket.revents != 0) {
            ask();
            if (const auto heard = hear(); !heard)
                return heard;
        }
    }
    return {};
}

Try<void> Relay::listen()
{
    there_.bytes.resize(buffer_bytes);
    const auto got = ::read(input_, there_.bytes.data(), there_.bytes.size());
    there_.bytes.resize(static_cast<std::size_t>(std::max(got, ssize_t{0})));
    if (got > 0 || (got < 0 && comes_again(errno)))
        return {};
    if (got < 0)
        return std::unexpected(failed("read(2) of standard input"));
    there_.has_ended = true;
    ::shutdown(socket_.get(), input_end_ == InputEnd::of_calls ? SHUT_WR : SHUT_RDWR);
    return {};
}

void Relay::ask()
{
    if (there_.is_empty())
        return;
    const auto sent = send(socket_, there_.bytes);
    if (sent && *sent)
        there_.bytes.erase(0, **sent);
    if (!sent) { // It is gone; what it said before is still there to be read.
        there_.bytes.clear();
        there_.has_ended = true;
    }
}

// Without room for descriptors: the kernel closes them, and says that there were some.
Try<void> Relay::hear()
{
    if (!back_.wants_more())
        return {};
    back_.bytes.resize(buffer_bytes);
    iovec data{back_.bytes.data(), back_.bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    const auto got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    back_.bytes.resize(static_cast<std::size_t>(std::max(got, ssize_t{0})));
    if (got >= 0 && (message.msg_flags & MSG_CTRUNC) != 0)
        return std::unexpected(
            Error{ErrorCode::refused,
                  "a descriptor came, and those do not travel through a relay; open it on the "
                  "daemon's own machine, or wait and set by name"});
    if (got > 0 || (got < 0 && comes_again(errno)))
        return {};
    back_.has_ended = true; // Said so, or torn down: whoever is at the other end sees the same.
    return {};
}

// A pipe that is ready takes so much without blocking. pipe(7)
void Relay::tell()
{
    const auto part = std::min<std::size_t>(back_.bytes.size(), PIPE_BUF);
    const auto written = ::write(output_, back_.bytes.data(), part);
    if (written > 0)
        back_.bytes.erase(0, static_cast<std::size_t>(written));
    if (written < 0 && !comes_again(errno)) { // Nobody reads it any more.
        back_.bytes.clear();
        back_.has_ended = true;
    }
}

} // namespace evfd
