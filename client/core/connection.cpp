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
#include <utility>

namespace evfd {

namespace {

// What every error of io.evfdd may tell, and InvalidParameter.
struct ErrorDetails {
    std::optional<std::string> message;
    std::optional<std::string> parameter;

    static constexpr auto fields()
    {
        return std::tuple{field("message", &ErrorDetails::message, ""),
                          field("parameter", &ErrorDetails::parameter, "")};
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
    if (is_error<Deleted>(error))
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
        return fmt::format("the daemon does not take what was given as '{}'; see its interface for "
                           "what it takes",
                           *reason->parameter);
    return fmt::format("the daemon answered {}; is it older than this program?", error);
}

// Whoever has a socket can answer: programs print what is said here.
Error to_error(std::string_view error, std::optional<json::Value> parameters)
{
    return {to_error_code(error), printable(to_message(error, parameters)), is_limit(error)};
}

// The path at which the daemon listens; empty if it has none. getpeername(2)
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

constexpr auto outcome_unknown = "whether it did what was asked is not known: look, and try again";

Error connection_lost(const UniqueFd& socket, std::string_view how)
{
    const auto journal = journal_command_for(peer_path(socket));
    return {ErrorCode::interrupted,
            fmt::format("the daemon went away before it answered ({}{}{}); {}", how,
                        journal.empty() ? "" : "; see ", journal, outcome_unknown)};
}

} // namespace

Error Connection::protocol_error(std::string_view what)
{
    return {ErrorCode::system,
            fmt::format("the daemon's answer cannot be understood ({}); is it newer than this "
                        "program?",
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
        pollfd wanted{socket_.get(), events, 0};
        const auto span = to_timespec(deadline ? time_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&wanted, 1, deadline ? &span : nullptr, nullptr);
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
    pollfd asked{socket_.get(), 0, 0};
    return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// What the daemon sent and is still on its way through a relay is not to be cut off.
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
            return {}; // It closed its side.
        if (!frame)
            return std::unexpected(frame.error());
        if (!*frame)
            if (const auto came = wait_for_events(POLLIN, deadline); !came)
                return came;
    }
}

Expected<void> Connection::wait_for_events(short events, Deadline deadline)
{
    const auto ready = poll_events(events, deadline);
    if (!ready)
        return std::unexpected(ready.error());
    if (!*ready)
        return fail({ErrorCode::no_daemon, no_reply_message(peer_path(socket_.fd()))});
    return {};
}

Expected<void> Connection::send_frame(std::string_view frame, Deadline deadline)
{
    has_sent_ = false;
    while (!frame.empty()) {
        const auto sent = evfd::send(socket_.fd(), frame);
        if (!sent && sent.error().error == EPIPE)
            return {}; // It may have said why it lets us go: that is there to be received.
        if (!sent)
            return fail(sent.error());
        has_sent_ |= sent->has_value();
        if (*sent)
            frame.remove_prefix(**sent);
        else if (const auto room = wait_for_events(POLLOUT, deadline); !room)
            return room;
    }
    return {};
}

// What fails here is nothing that the daemon, if it is there, should be asked twice for: it may
// have answered.
std::unexpected<Error> Connection::fail(const Fault& fault)
{
    const bool is_ours = fault.error != EBADF && fault.error != ENOTSOCK; // Or someone closed it.
    if (!is_ours || is_closed())
        return fail(connection_lost(socket_.fd(), fault.message()));
    return fail({ErrorCode::system, fmt::format("the daemon cannot be talked to ({}); {}",
                                                fault.message(), outcome_unknown)});
}

Expected<bool> Connection::read_more()
{
    std::array<char, 16 * 1024> buffer;
    auto received = evfd::receive(socket_.fd(), buffer, received_fds_);
    if (!received && !is_closed()) // What came is still there.
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

Expected<std::optional<std::string_view>> Connection::try_read_frame()
{
    while (true) {
        const auto frame = frame_reader_.next();
        if (!frame)
            return fail(protocol_error("it is too long"));
        if (*frame)
            return *frame;
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

// To sleep in recvmsg(2) would be a system call less, but there the daemon's reading of the call
// wakes us too: that there is room to write is told to all who sleep on the socket.
Expected<Reply> Connection::await_reply(Deadline deadline)
{
    while (true) {
        auto replied = try_read_reply();
        if (!replied)
            return std::unexpected(std::move(replied.error()));
        if (*replied)
            return **replied;
        if (const auto readable = wait_for_events(POLLIN, deadline); !readable)
            return std::unexpected(readable.error());
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
