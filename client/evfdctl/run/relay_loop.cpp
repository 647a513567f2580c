#include "client/evfdctl/run/relay_loop.h"

#include "client/evfdctl/output/failure.h"
#include "common/socket.h"

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

bool is_transient(int error)
{
    return error == EINTR || error == EAGAIN || error == EWOULDBLOCK;
}

// Returns an entry for poll(2). If no event is wanted, the entry has the descriptor -1, which
// poll(2) skips. With the real descriptor, poll(2) would report a hangup again and again, because
// poll(2) reports a hangup even if no event is wanted.
pollfd poll_entry(int fd, bool for_input, bool for_output)
{
    const int events = (for_input ? POLLIN : 0) | (for_output ? POLLOUT : 0);
    return {events != 0 ? fd : -1, static_cast<short>(events), 0};
}

} // namespace

// Does not make standard input and output nonblocking, because other processes can share the open
// file descriptions. So poll(2) is called before every read or write that can block.
Expected<void> RelayLoop::run()
{
    while (!from_daemon_.has_ended || !from_daemon_.is_empty()) {
        std::array<pollfd, 3> polled{
            poll_entry(input_, to_daemon_.can_read(), false),
            poll_entry(socket_.get(), from_daemon_.can_read(), !to_daemon_.is_empty()),
            {output_, static_cast<short>(from_daemon_.is_empty() ? 0 : POLLOUT), 0}};
        if (::poll(polled.data(), polled.size(), -1) < 0) {
            if (errno == EINTR)
                continue;
            return std::unexpected(system_call_error("poll(2)"));
        }
        const auto& [input, socket, output] = polled;
        if ((output.revents & POLLOUT) != 0)
            write_output();
        else if (output.revents != 0)
            return {}; // Nobody reads the output any more.
        if (input.revents != 0)
            if (const auto was_read = read_input(); !was_read)
                return was_read;
        if (socket.revents != 0) {
            send_calls();
            if (const auto received = receive_replies(); !received)
                return received;
        }
    }
    return {};
}

Expected<void> RelayLoop::read_input()
{
    to_daemon_.bytes.resize(buffer_bytes);
    const auto got = ::read(input_, to_daemon_.bytes.data(), to_daemon_.bytes.size());
    to_daemon_.bytes.resize(static_cast<std::size_t>(std::max(got, ssize_t{0})));
    if (got > 0 || (got < 0 && is_transient(errno)))
        return {};
    if (got < 0)
        return std::unexpected(system_call_error("read(2) of standard input"));
    to_daemon_.has_ended = true;
    ::shutdown(socket_.get(), input_end_ == InputEnd::calls_done ? SHUT_WR : SHUT_RDWR);
    return {};
}

void RelayLoop::send_calls()
{
    if (to_daemon_.is_empty())
        return;
    const auto sent = send(socket_, to_daemon_.bytes);
    if (sent && *sent)
        to_daemon_.bytes.erase(0, **sent);
    // If send() fails, the daemon has exited. Replies that the daemon sent before its exit can
    // still be read.
    if (!sent) {
        to_daemon_.bytes.clear();
        to_daemon_.has_ended = true;
    }
}

// Gives recvmsg(2) no buffer for control messages. If descriptors arrive, the kernel closes them
// and sets MSG_CTRUNC.
Expected<void> RelayLoop::receive_replies()
{
    if (!from_daemon_.can_read())
        return {};
    from_daemon_.bytes.resize(buffer_bytes);
    iovec data{from_daemon_.bytes.data(), from_daemon_.bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    const auto got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    from_daemon_.bytes.resize(static_cast<std::size_t>(std::max(got, ssize_t{0})));
    if (got >= 0 && (message.msg_flags & MSG_CTRUNC) != 0)
        return std::unexpected(Error{ErrorCode::refused,
                                     "a descriptor came, and a relay cannot pass descriptors; open "
                                     "it on the daemon's own machine, or wait and set by name"});
    if (got > 0 || (got < 0 && is_transient(errno)))
        return {};
    // The daemon closed or reset the connection. The reader of the output gets end of file in
    // either case.
    from_daemon_.has_ended = true;
    return {};
}

// Writes at most PIPE_BUF bytes. A pipe that polls writable accepts this number of bytes without
// blocking. See pipe(7).
void RelayLoop::write_output()
{
    const auto part = std::min<std::size_t>(from_daemon_.bytes.size(), PIPE_BUF);
    const auto written = ::write(output_, from_daemon_.bytes.data(), part);
    if (written > 0)
        from_daemon_.bytes.erase(0, static_cast<std::size_t>(written));
    if (written < 0 && !is_transient(errno)) { // Nobody reads the output any more.
        from_daemon_.bytes.clear();
        from_daemon_.has_ended = true;
    }
}

} // namespace evfd
