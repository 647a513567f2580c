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
struct Reason {
    std::optional<std::string> message;
    std::optional<std::string> parameter;

    static constexpr auto fields()
    {
        return std::tuple{field("message", &Reason::message, ""),
                          field("parameter", &Reason::parameter, "")};
    }
};

template <class E>
bool is(std::string_view error)
{
    return error == protocol::full_name<E>();
}

bool is_limit(std::string_view error)
{
    using namespace protocol;
    return is<QuotaExceeded>(error) || is<OutOfDescriptors>(error) || is<TooManyTokens>(error);
}

ErrorCode code_of(std::string_view error)
{
    using namespace protocol;
    if (is<NoSuchName>(error))
        return ErrorCode::no_such_name;
    if (is<NameTaken>(error) || is<WrongKind>(error))
        return ErrorCode::name_taken;
    if (is_limit(error) || is<NotPermitted>(error) || is<NoCapability>(error) ||
        is<PermissionDenied>(error) || is<NoSuchProcess>(error))
        return ErrorCode::refused;
    if (is<TimedOut>(error))
        return ErrorCode::timed_out;
    if (is<Deleted>(error))
        return ErrorCode::deleted;
    if (is<Cancelled>(error))
        return ErrorCode::cancelled;
    if (is<NoSuchSession>(error) || is<NoSuchHold>(error))
        return ErrorCode::interrupted;
    if (is<InvalidParameter>(error))
        return ErrorCode::invalid;
    return ErrorCode::system;
}

std::string sentence_of(std::string_view error, std::optional<json::Value> parameters)
{
    Incoming incoming{Unknown::ignore, nullptr, 0};
    const auto reason = decode<Reason>(parameters, incoming);
    if (reason && reason->message)
        return *reason->message;
    if (reason && reason->parameter)
        return fmt::format("the daemon does not take what was given as '{}'; see its interface for "
                           "what it takes",
                           *reason->parameter);
    return fmt::format("the daemon answered {}; is it older than this program?", error);
}

// Whoever has a socket can answer: programs print what is said here.
Error error_of(std::string_view error, std::optional<json::Value> parameters)
{
    return {code_of(error), printable(sentence_of(error, parameters)), is_limit(error)};
}

// The path at which the daemon listens; empty if it has none. getpeername(2)
std::string path_of_peer(const UniqueFd& socket)
{
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        address.sun_family != AF_UNIX || size <= offsetof(sockaddr_un, sun_path))
        return {};
    const std::string_view path{address.sun_path, size - offsetof(sockaddr_un, sun_path)};
    return std::string{path.substr(0, path.find('\0'))};
}

constexpr auto is_unknown = "whether it did what was asked is not known: look, and try again";

Error gone(const UniqueFd& socket, std::string_view how)
{
    const auto journal = journal_of(path_of_peer(socket));
    return {ErrorCode::interrupted,
            fmt::format("the daemon went away before it answered ({}{}{}); {}", how,
                        journal.empty() ? "" : "; see ", journal, is_unknown)};
}

} // namespace

Error Channel::garbled(std::string_view what)
{
    return {ErrorCode::system,
            fmt::format("the daemon's answer cannot be understood ({}); is it newer than this "
                        "program?",
                        what)};
}

std::unexpected<Error> Channel::give_up(Error error)
{
    is_usable_ = false;
    return std::unexpected(std::move(error));
}

Try<bool> Channel::poll_for(short events, Deadline deadline)
{
    while (true) {
        pollfd wanted{socket_.get(), events, 0};
        const auto span = to_timespec(deadline ? left_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&wanted, 1, deadline ? &span : nullptr, nullptr);
        if (ready >= 0)
            return ready > 0;
        if (errno != EINTR)
            return give_up({ErrorCode::system, Fault::last("ppoll(2)").message()});
    }
}

Try<bool> Channel::has_news_by(MonotonicTime moment)
{
    return poll_for(POLLIN, moment);
}

bool Channel::is_closed() const
{
    pollfd asked{socket_.get(), 0, 0};
    return ::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

// What the daemon sent and is still on its way through a relay is not to be cut off.
void Channel::hang_up() const
{
    ::shutdown(socket_.get(), far_end_ == FarEnd::daemon ? SHUT_RDWR : SHUT_WR);
}

Try<void> Channel::part(Deadline deadline)
{
    ::shutdown(socket_.get(), SHUT_WR);
    while (true) {
        const auto frame = frame_if_there();
        if (!frame && frame.error().code == ErrorCode::interrupted)
            return {}; // It closed its side.
        if (!frame)
            return std::unexpected(frame.error());
        if (!*frame)
            if (const auto came = wait_for(POLLIN, deadline); !came)
                return came;
    }
}

Try<void> Channel::wait_for(short events, Deadline deadline)
{
    const auto ready = poll_for(events, deadline);
    if (!ready)
        return std::unexpected(ready.error());
    if (!*ready)
        return give_up({ErrorCode::no_daemon, silence_of(path_of_peer(socket_.fd()))});
    return {};
}

Try<void> Channel::send_frame(std::string_view frame, Deadline deadline)
{
    has_sent_ = false;
    while (!frame.empty()) {
        const auto sent = evfd::send(socket_.fd(), frame);
        if (!sent && sent.error().error == EPIPE)
            return {}; // It may have said why it lets us go: that is there to be received.
        if (!sent)
            return give_up(sent.error());
        has_sent_ |= sent->has_value();
        if (*sent)
            frame.remove_prefix(**sent);
        else if (const auto room = wait_for(POLLOUT, deadline); !room)
            return room;
    }
    return {};
}

// What fails here is nothing that the daemon, if it is there, should be asked twice for: it may
// have answered.
std::unexpected<Error> Channel::give_up(const Fault& fault)
{
    const bool is_ours = fault.error != EBADF && fault.error != ENOTSOCK; // Or someone closed it.
    if (!is_ours || is_closed())
        return give_up(gone(socket_.fd(), fault.message()));
    return give_up({ErrorCode::system, fmt::format("the daemon cannot be talked to ({}); {}",
                                                   fault.message(), is_unknown)});
}

Try<bool> Channel::fill()
{
    std::array<char, 16 * 1024> buffer;
    auto received = evfd::receive(socket_.fd(), buffer, descriptors_);
    if (!received && !is_closed()) // What came is still there.
        received = evfd::receive(socket_.fd(), buffer, descriptors_);
    if (!received)
        return give_up(received.error());
    if (!*received)
        return false;
    if ((*received)->bytes == 0)
        return give_up(gone(socket_.fd(), "it closed the connection"));
    if ((*received)->is_cut)
        descriptors_.emplace_back();
    incoming_.append({buffer.data(), (*received)->bytes});
    return true;
}

Try<std::optional<std::string_view>> Channel::frame_if_there()
{
    while (true) {
        const auto frame = incoming_.next();
        if (!frame)
            return give_up(garbled("it is too long"));
        if (*frame)
            return *frame;
        const auto filled = fill();
        if (!filled)
            return std::unexpected(filled.error());
        if (!*filled)
            return std::nullopt;
    }
}

Try<std::optional<Replied>> Channel::reply_if_there()
{
    const auto frame = frame_if_there();
    if (!frame)
        return std::unexpected(frame.error());
    if (!*frame)
        return std::nullopt;
    return reply_of(**frame);
}

// To sleep in recvmsg(2) would be a system call less, but there the daemon's reading of the call
// wakes us too: that there is room to write is told to all who sleep on the socket.
Try<Replied> Channel::next_reply(Deadline deadline)
{
    while (true) {
        auto replied = reply_if_there();
        if (!replied)
            return std::unexpected(std::move(replied.error()));
        if (*replied)
            return **replied;
        if (const auto readable = wait_for(POLLIN, deadline); !readable)
            return std::unexpected(readable.error());
    }
}

Try<Replied> Channel::reply_of(std::string_view frame)
{
    const auto replied = read_reply(document_, frame);
    if (!replied)
        return give_up(garbled(replied.error()));
    if (replied->error)
        return std::unexpected(error_of(*replied->error, replied->parameters));
    return *replied;
}

} // namespace evfd
