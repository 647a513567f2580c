// Connection: typed calls and replies over one socket.
//
// send() encodes a request and writes it; receive() waits for the next reply and decodes it.
// Replies arrive in the order of the calls, so a caller can send several calls before it reads the
// first reply. A Connection does not reconnect and does not repeat a call: Session does.
//
// Invariants:
//   - One thread at a time uses a Connection.
//   - A caller that stops waiting for a reply must not use the Connection for another call, because
//     the next call would get the late reply. fail() marks the Connection unusable.
//   - A failed write is not an error of send(). The daemon has perhaps written an error reply with
//     the reason before it closed the connection, and receive() returns that error.
//   - Descriptors arrive in front of the reply that names them. received_fds_ keeps them until the
//     reply is decoded.
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

// The time at which an operation gives up. Without a value, the operation never gives up.
using Deadline = std::optional<MonotonicTime>;
inline Deadline to_deadline(std::optional<nanoseconds> timeout)
{
    return timeout ? Deadline{monotonic_deadline(*timeout)} : Deadline{};
}

// The kind of process at the other end of the socket. If this process shuts down the output of the
// socket, a relay closes its own connection to the daemon.
enum class PeerKind { daemon, relay };

class Connection {
public:
    static constexpr std::size_t typical_call_bytes = 128;

    explicit Connection(CloseOnForkFd socket, PeerKind peer_kind = PeerKind::daemon)
        : socket_{std::move(socket)}, peer_kind_{peer_kind}
    {
    }

    // Sends one call. Succeeds even if the daemon has closed the connection. In that case receive()
    // returns the daemon's error reply, or the error `interrupted`.
    template <Message Request>
    Expected<void> send(Request request, Deadline deadline, ReplyMode mode = ReplyMode::one)
    {
        return send_frame(encode_call(std::move(request), mode), deadline);
    }

    template <class T>
    struct Received {
        T reply;
        bool continues; // Whether more replies to this call follow.
    };

    // Returns the next reply, which must answer a call of the type Request. If this process had no
    // free descriptor to receive a passed descriptor, the reply contains an empty descriptor. An
    // error reply is returned as an Error. If the deadline passes, the connection becomes unusable,
    // because the daemon can still answer later.
    template <Message Request>
    Expected<Received<typename Request::Reply>> receive(Deadline deadline)
    {
        const auto reply = await_reply(deadline);
        if (!reply)
            return std::unexpected(reply.error());
        return decode_reply<typename Request::Reply>(*reply);
    }

    // Like receive(), without waiting. Returns nothing if no complete reply has arrived.
    template <Message Request>
    Expected<std::optional<Received<typename Request::Reply>>> try_receive()
    {
        const auto reply = try_read_reply();
        if (!reply)
            return std::unexpected(reply.error());
        if (!*reply)
            return std::nullopt;
        return decode_reply<typename Request::Reply>(**reply);
    }

    // Returns a call as bytes for the wire.
    template <Message Request>
    static std::string encode_call(Request request, ReplyMode mode)
    {
        std::string parameters;
        parameters.reserve(typical_call_bytes);
        std::vector<PassedFd> none;
        EncodeContext context{parameters, none};
        encode(request, context);
        std::string frame;
        frame.reserve(typical_call_bytes);
        append_call(frame, protocol::full_name<Request>(), parameters, mode);
        return frame;
    }
    // Like send(), for a call that is already encoded.
    Expected<void> send_frame(std::string_view frame, Deadline deadline);
    // Sends an encoded one-way call. Succeeds once the socket has the whole call. Fails with the
    // daemon's error reply if the daemon has closed the connection and sent a reason, else with
    // `interrupted`. If this function fails, the daemon does not execute the call. If the deadline
    // passes before the socket has any byte of the call, the connection stays usable.
    Expected<void> send_oneway_frame(std::string_view frame, Deadline deadline);

    // Returns whether any byte of the last call was written to the socket. If no byte was written,
    // the daemon cannot have executed the call.
    bool has_sent() const { return has_sent_; }
    // Returns false if the connection was lost, if sending or receiving failed or timed out, or if
    // a reply could not be decoded.
    bool is_usable() const { return is_usable_; }
    // Marks the connection unusable, so that no later call can get the reply to the failed call.
    // Returns `error`.
    std::unexpected<Error> fail(Error error);
    // Returns the error for a reply that violates the protocol. `what` describes the violation.
    static Error protocol_error(std::string_view what);
    // Waits until input arrives or the daemon closes the connection. Returns false if the deadline
    // passed first.
    Expected<bool> wait_readable(MonotonicTime deadline);
    // Returns a descriptor that polls readable when input arrives or the daemon closes the
    // connection.
    int fd() const { return socket_.get(); }
    // Returns whether a part of the next reply has already been read from the socket.
    bool has_buffered_input() const { return frame_reader_.mid_message(); }
    // Returns whether the daemon has closed the connection. Replies that arrived before the close
    // can still be unread.
    bool is_closed() const;
    // Shuts down the socket, but only its output if the peer is a relay. Data that the daemon sent
    // before it noticed the disconnect can still be received.
    void disconnect() const;
    // Shuts down the output of the socket. Returns after the daemon has executed every call and
    // closed the connection.
    Expected<void> close_gracefully(Deadline deadline);

private:
    // The result of an attempt to write a frame. `closed` means that the daemon has closed the
    // connection. `late` means that the deadline has passed.
    enum class Written { whole, closed, late };

    std::unexpected<Error> fail(const Fault& fault);
    template <class T>
    Expected<Received<T>> decode_reply(const Reply& reply)
    {
        DecodeContext context{UnknownFields::ignore, &received_fds_, 0};
        auto decoded = decode<T>(reply.parameters, context);
        if (context.is_missing_fds)
            // read_more() adds one empty entry to received_fds_ in place of all descriptors that
            // the kernel did not deliver. The empty entry is removed here.
            received_fds_.pop_front();
        if (!decoded)
            return fail(protocol_error(decoded.error().name));
        return Received<T>{*std::move(decoded), reply.continues};
    }

    // Waits for the next reply. Returns an error reply as an Error.
    Expected<Reply> await_reply(Deadline deadline);
    Expected<std::optional<Reply>> try_read_reply();
    Expected<Reply> parse_reply(std::string_view frame);
    // Returns the next frame that was read from the socket. Returns nothing if none is complete.
    Expected<std::optional<std::string_view>> buffered_frame();
    // Like buffered_frame(), but reads from the socket until a frame is complete or no more input
    // has arrived.
    Expected<std::optional<std::string_view>> try_read_frame();
    Expected<Written> write_frame(std::string_view frame, Deadline deadline);
    Expected<bool> read_more(); // Reads input. Returns false if none has arrived.
    Expected<void> wait_for_events(short events, Deadline deadline);
    Error no_reply_error() const;
    Expected<bool> poll_events(short events, Deadline deadline);

    CloseOnForkFd socket_;
    PeerKind peer_kind_;
    FrameReader frame_reader_{max_reply_bytes};
    json::Document document_;
    std::deque<UniqueFd> received_fds_; // The descriptors of replies that are not decoded yet.
    bool is_usable_ = true;
    bool has_sent_ = false;
};

} // namespace evfd
