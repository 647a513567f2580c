// One connection to the daemon: typed calls out, typed replies in, in order. Calls may be
// pipelined. One thread at a time.
#pragma once

#include "client/core/close_on_fork_fd.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/envelope.h"
#include "common/frame.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/protocol/protocol.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <deque>
#include <optional>
#include <string>

namespace evfd {

// For ever, if there is none.
using Deadline = std::optional<MonotonicTime>;
inline Deadline to_deadline(std::optional<nanoseconds> timeout)
{
    return timeout ? Deadline{monotonic_deadline(*timeout)} : Deadline{};
}

// Who reads what we send: through a relay the end of what we send is the end of the connection.
enum class PeerKind { daemon, relay };

class Connection {
public:
    static constexpr std::size_t typical_call_bytes = 128;

    explicit Connection(CloseOnForkFd socket, PeerKind peer_kind = PeerKind::daemon)
        : socket_{std::move(socket)}, peer_kind_{peer_kind}
    {
    }

    // That the daemon is gone is for receive() to tell, for it may have said why: `interrupted`.
    template <Message Request>
    Expected<void> send(Request request, Deadline deadline, ReplyMode answers = ReplyMode::one)
    {
        return send_frame(encode_call(std::move(request), answers), deadline);
    }

    template <class Reply>
    struct Received {
        Reply reply;
        bool continues; // More replies to the same call follow.
    };

    // The next reply, to a Request that was sent. Descriptors that this process has no room for are
    // empty ones. An error reply is an Error; timed_out: the daemon
    // may still answer, so the channel is of no use any more.
    template <Message Request>
    Expected<Received<typename Request::Reply>> receive(Deadline deadline)
    {
        const auto replied = await_reply(deadline);
        if (!replied)
            return std::unexpected(replied.error());
        return decode_reply<typename Request::Reply>(*replied);
    }

    // The same, of what is there already; nothing, if that is no whole reply.
    template <Message Request>
    Expected<std::optional<Received<typename Request::Reply>>> try_receive()
    {
        const auto replied = try_read_reply();
        if (!replied)
            return std::unexpected(replied.error());
        if (!*replied)
            return std::nullopt;
        return decode_reply<typename Request::Reply>(**replied);
    }

    // A call as it goes over the wire.
    template <Message Request>
    static std::string encode_call(Request request, ReplyMode answers)
    {
        std::string parameters;
        parameters.reserve(typical_call_bytes);
        std::vector<PassedFd> none;
        EncodeContext out{parameters, none};
        encode(request, out);
        std::string frame;
        frame.reserve(typical_call_bytes);
        append_call(frame, protocol::full_name<Request>(), parameters, answers);
        return frame;
    }
    // As send(), of frames.
    Expected<void> send_frame(std::string_view frame, Deadline deadline);

    // Whether any of the last frame went out; else the daemon was gone before that.
    bool has_sent() const { return has_sent_; }
    // False once it lost its way: the daemon is gone, too late, or not to be understood.
    bool is_usable() const { return is_usable_; }
    // Nobody waits any more for what was sent: the next call is not to get its answer.
    std::unexpected<Error> fail(Error error);
    // What is wrong with a daemon that says `what`.
    static Error protocol_error(std::string_view what);
    // Whether something came, or the daemon went, before the moment.
    Expected<bool> wait_readable(MonotonicTime deadline);
    // Readable when it does.
    int fd() const { return socket_.get(); }
    // Whether some of the next reply, or all of it, came with the one before.
    bool has_buffered_input() const { return frame_reader_.mid_message(); }
    // Whether the daemon has closed it; answers of before may still be there.
    bool is_closed() const;
    // Nothing goes either way any more; what the daemon sent until it knows can still be received.
    void disconnect() const;
    // We send no more; returns when the daemon has done all that was sent and closed its side.
    Expected<void> close_gracefully(Deadline deadline);

private:
    std::unexpected<Error> fail(const Fault& fault);
    template <class Reply>
    Expected<Received<Reply>> decode_reply(const Reply& replied)
    {
        DecodeContext incoming{UnknownFields::ignore, &received_fds_, 0};
        auto reply = decode<Reply>(replied.parameters, incoming);
        if (incoming.is_missing_fds)
            received_fds_.pop_front(); // What stands for them.
        if (!reply)
            return fail(protocol_error(reply.error().name));
        return Received<Reply>{*std::move(reply), replied.continues};
    }

    // A reply that is no error, or the error as it is to be reported.
    Expected<Reply> await_reply(Deadline deadline);
    Expected<std::optional<Reply>> try_read_reply();
    Expected<Reply> parse_reply(std::string_view frame);
    Expected<std::optional<std::string_view>> try_read_frame();
    Expected<bool> read_more(); // Whether something came.
    Expected<void> wait_for_events(short events, Deadline deadline);
    Expected<bool> poll_events(short events, Deadline deadline);

    CloseOnForkFd socket_;
    PeerKind peer_kind_;
    FrameReader frame_reader_{max_reply_bytes};
    json::Document document_;
    std::deque<UniqueFd> received_fds_; // Of replies that are not decoded yet: Incoming.
    bool is_usable_ = true;
    bool has_sent_ = false;
};

} // namespace evfd
