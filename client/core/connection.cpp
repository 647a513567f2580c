#include "client/core/connection.h"

#include "client/core/address.h"
#include "common/printable.h"
#include "common/socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <utility>

namespace evfd {

namespace {

// The optional parameters of an error reply. The error InvalidParameter and all errors of io.evfdd
// have them.
struct ErrorDetails {
    std::optional<std::string> message;
    std::optional<std::string> parameter;

    static constexpr auto fields()
    {
        return field_list(field("message", &ErrorDetails::message, ""),
                          field("parameter", &ErrorDetails::parameter, ""));
    }
};

template <class E>
bool is_error(std::string_view error)
{
    return error == protocol::full_name<E>();
}

bool is_limit(std::string_view error)
{
    using namespace protocol;
    return is_error<QuotaExceeded>(error) || is_error<OutOfDescriptors>(error) ||
           is_error<TooManyTokens>(error);
}

ErrorCode to_error_code(std::string_view error)
{
    using namespace protocol;
    if (is_error<NoSuchName>(error))
        return ErrorCode::no_such_name;
    if (is_error<NameTaken>(error) || is_error<WrongKind>(error))
        return ErrorCode::name_taken;
    if (is_limit(error) || is_error<NotPermitted>(error) || is_error<NoCapability>(error) ||
        is_error<PermissionDenied>(error) || is_error<NoSuchProcess>(error))
        return ErrorCode::refused;
    if (is_error<TimedOut>(error))
        return ErrorCode::timed_out;
    if (is_error<Deleted>(error) || is_error<Replaced>(error))
        return ErrorCode::deleted;
    if (is_error<Cancelled>(error))
        return ErrorCode::cancelled;
    if (is_error<NoSuchSession>(error) || is_error<NoSuchHold>(error))
        return ErrorCode::interrupted;
    if (is_error<InvalidParameter>(error))
        return ErrorCode::invalid;
    return ErrorCode::system;
}

std::string to_message(std::string_view error, std::optional<json::Value> parameters)
{
    DecodeContext incoming{UnknownFields::ignore, nullptr, 0};
    const auto reason = decode<ErrorDetails>(parameters, incoming);
    if (reason && reason->message)
        return *reason->message;
    if (reason && reason->parameter)
        return fmt::format(
            "the daemon refuses the value of '{}'; its interface description has the valid values",
            *reason->parameter);
    return fmt::format("the daemon answered {}; is it older than this program?", error);
}

// Makes the message printable, because programs print it, and the sender of the message can be any
// process that listens at the socket.
Error to_error(std::string_view error, std::optional<json::Value> parameters)
{
    return {to_error_code(error), printable(to_message(error, parameters)), is_limit(error)};
}

// Returns the path of the daemon's socket, or "" if the socket has no path. See getpeername(2).
std::string peer_path(const UniqueFd& socket)
{
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        address.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path))
        return {};
    const std::string_view path{address.sun_path, size - offsetof(sockaddr_un, sun_path)};
    return std::string{path.substr(0, path.find('\0'))};
}

constexpr auto outcome_unknown = "whether the call was executed is not known: check, and try again";

Error connection_lost(const UniqueFd& socket, std::string_view how)
{
    const auto journal = journal_command_for(peer_path(socket));
    return {ErrorCode::interrupted,
            fmt::format("the connection to the daemon was lost before the reply ({}{}{}); {}", how,
                        journal.empty() ? "" : "; see ", journal, outcome_unknown)};
}

} // namespace

Error Connection::protocol_error(std::string_view what)
{
    return {
        ErrorCode::system,
        fmt::format("the daemon's reply violates the protocol ({}); is it newer than this program?",
                    what)};
}

std::unexpected<Error> Connection::fail(Error error)
{
    is_usable_ = false;
    return std::unexpected(std::move(error));
}

Expected<bool> Connection::poll_events(short events, Deadline deadline)
{
    while (true) {
        pollfd polled{socket_.get(), events, 0};
        const auto timeout = to_timespec(deadline ? time_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&polled, 1, deadline ? &timeout : nullptr, nullptr);
        if (ready >= 0)
            return ready > 0;
        if (errno != EINTR)
            return fail({ErrorCode::system, Fault::last("ppoll(2)").message()});
    }
}

Expected<bool> Connection::wait_readable(MonotonicTime deadline)
{
    return poll_events(POLLIN, deadline);
}

bool Connection::is_closed() const
{
    pollfd polled{socket_.get(), 0, 0};
    return ::poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// Shuts down only the output if the peer is a relay: replies can still be in transit from the
// relay, and SHUT_RDWR would discard them.
void Connection::disconnect() const
{
    ::shutdown(socket_.get(), peer_kind_ == PeerKind::daemon ? SHUT_RDWR : SHUT_WR);
}

Expected<void> Connection::close_gracefully(Deadline deadline)
{
    ::shutdown(socket_.get(), SHUT_WR);
    while (true) {
        const auto frame = try_read_frame();
        if (!frame && frame.error().code == ErrorCode::interrupted)
            return {}; // The daemon has closed the connection.
        if (!frame)
            return std::unexpected(frame.error());
        if (!*frame)
            if (const auto readable = wait_for_events(POLLIN, deadline); !readable)
                return readable;
    }
}

Expected<void> Connection::wait_for_events(short events, Deadline deadline)
{
    const auto ready = poll_events(events, deadline);
    if (!ready)
        return std::unexpected(ready.error());
    if (!*ready)
        return fail(no_reply_error());
    return {};
}

Error Connection::no_reply_error() const
{
    return {ErrorCode::no_daemon, no_reply_message(peer_path(socket_.fd()))};
}

Expected<void> Connection::send_frame(std::string_view frame, Deadline deadline)
{
    const auto written = write_frame(frame, deadline);
    if (!written)
        return std::unexpected(written.error());
    if (*written == Written::late)
        return fail(no_reply_error());
    // Written::closed is not reported here. The daemon has closed the connection, and has perhaps
    // sent an error reply with the reason first. receive() returns that error.
    return {};
}

Expected<void> Connection::send_oneway_frame(std::string_view frame, Deadline deadline)
{
    const auto written = write_frame(frame, deadline);
    if (!written)
        return std::unexpected(written.error());
    switch (*written) {
    case Written::whole: return {};
    case Written::late:
        // After a part of a frame, the connection can carry no other call.
        return has_sent_ ? fail(no_reply_error()) : std::unexpected(no_reply_error());
    case Written::closed: {
        const auto reply = await_reply(deadline);
        return fail(reply ? protocol_error("it answers no call") : reply.error());
    }
    }
    std::abort();
}

Expected<Connection::Written> Connection::write_frame(std::string_view frame, Deadline deadline)
{
    has_sent_ = false;
    while (!frame.empty()) {
        const auto sent = evfd::send(socket_.fd(), frame);
        if (!sent && sent.error().error == EPIPE)
            return Written::closed;
        if (!sent)
            return fail(sent.error());
        has_sent_ |= sent->has_value();
        if (*sent) {
            frame.remove_prefix(**sent);
            continue;
        }
        const auto writable = poll_events(POLLOUT, deadline);
        if (!writable)
            return std::unexpected(writable.error());
        if (!*writable)
            return Written::late;
    }
    return Written::whole;
}

// Marks the connection unusable, because it is unknown whether the daemon has executed the call. A
// second attempt needs a new connection, on which the session is resumed.
std::unexpected<Error> Connection::fail(const Fault& fault)
{
    // EBADF and ENOTSOCK mean that the program itself has closed our descriptor.
    const bool is_open = fault.error != EBADF && fault.error != ENOTSOCK;
    if (!is_open || is_closed())
        return fail(connection_lost(socket_.fd(), fault.message()));
    return fail({ErrorCode::system, fmt::format("communication with the daemon failed ({}); {}",
                                                fault.message(), outcome_unknown)});
}

Expected<bool> Connection::read_more()
{
    std::array<char, 16 * 1024> buffer;
    auto received = evfd::receive(socket_.fd(), buffer, received_fds_);
    // After a failed read, reads a second time, unless the daemon has closed the connection. The
    // second read can still return input that arrived before the error.
    if (!received && !is_closed())
        received = evfd::receive(socket_.fd(), buffer, received_fds_);
    if (!received)
        return fail(received.error());
    if (!*received)
        return false;
    if ((*received)->bytes == 0)
        return fail(connection_lost(socket_.fd(), "it closed the connection"));
    if ((*received)->is_truncated)
        received_fds_.emplace_back();
    frame_reader_.append({buffer.data(), (*received)->bytes});
    return true;
}

Expected<std::optional<std::string_view>> Connection::buffered_frame()
{
    const auto frame = frame_reader_.next();
    if (!frame)
        return fail(protocol_error("it is too long"));
    return *frame;
}

Expected<std::optional<std::string_view>> Connection::try_read_frame()
{
    while (true) {
        const auto frame = buffered_frame();
        if (!frame || *frame)
            return frame;
        const auto filled = read_more();
        if (!filled)
            return std::unexpected(filled.error());
        if (!*filled)
            return std::nullopt;
    }
}

Expected<std::optional<Reply>> Connection::try_read_reply()
{
    const auto frame = try_read_frame();
    if (!frame)
        return std::unexpected(frame.error());
    if (!*frame)
        return std::nullopt;
    return parse_reply(**frame);
}

// Waits in poll(2) to avoid useless wake-ups, although a sleep in recvmsg(2) would save a system
// call. When the daemon reads a call, the socket has room for output again. At that moment the
// kernel wakes every thread that sleeps in recvmsg(2) on the socket, although the reply has not
// arrived yet. A reply has hardly ever arrived when the caller begins to wait for it, so the
// function does not try to read before it waits.
Expected<Reply> Connection::await_reply(Deadline deadline)
{
    while (true) {
        const auto frame = buffered_frame();
        if (!frame)
            return std::unexpected(frame.error());
        if (*frame)
            return parse_reply(**frame);
        if (const auto readable = wait_for_events(POLLIN, deadline); !readable)
            return std::unexpected(readable.error());
        if (const auto filled = read_more(); !filled)
            return std::unexpected(filled.error());
    }
}

Expected<Reply> Connection::parse_reply(std::string_view frame)
{
    const auto replied = read_reply(document_, frame);
    if (!replied)
        return fail(protocol_error(replied.error()));
    if (replied->error)
        return std::unexpected(to_error(*replied->error, replied->parameters));
    return *replied;
}

} // namespace evfd
