// One connection to the daemon: typed calls out, typed replies in, in order. Calls may be
// pipelined. One thread at a time.
#pragma once

#include "evfd/error.h"
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

#include <deque>
#include <optional>
#include <string>

namespace evfd {

// For ever, if there is none.
using Deadline = std::optional<MonotonicTime>;
inline Deadline deadline_after(std::optional<nanoseconds> timeout)
{
    return timeout ? Deadline{monotonic_after(*timeout)} : Deadline{};
}

// Who reads what we send: through a relay the end of what we send is the end of the connection.
enum class FarEnd { daemon, relay };

class Channel {
public:
    static constexpr std::size_t usual_call_bytes = 128;

    explicit Channel(PrivateFd socket, FarEnd far_end = FarEnd::daemon)
        : socket_{std::move(socket)}, far_end_{far_end}
    {
    }

    // That the daemon is gone is for receive() to tell, for it may have said why: `interrupted`.
    template <Message Request>
    Try<void> send(Request request, Deadline deadline, Answers answers = Answers::one)
    {
        return send_frame(frame_of(std::move(request), answers), deadline);
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
    Try<Received<typename Request::Reply>> receive(Deadline deadline)
    {
        const auto replied = next_reply(deadline);
        if (!replied)
            return std::unexpected(replied.error());
        return read<typename Request::Reply>(*replied);
    }

    // The same, of what is there already; nothing, if that is no whole reply.
    template <Message Request>
    Try<std::optional<Received<typename Request::Reply>>> receive_if_there()
    {
        const auto replied = reply_if_there();
        if (!replied)
            return std::unexpected(replied.error());
        if (!*replied)
            return std::nullopt;
        return read<typename Request::Reply>(**replied);
    }

    // A call as it goes over the wire.
    template <Message Request>
    static std::string frame_of(Request request, Answers answers)
    {
        std::string parameters;
        parameters.reserve(usual_call_bytes);
        std::vector<Handed> none;
        Outgoing out{parameters, none};
        encode(request, out);
        std::string frame;
        frame.reserve(usual_call_bytes);
        append_call(frame, protocol::full_name<Request>(), parameters, answers);
        return frame;
    }
    // As send(), of frames.
    Try<void> send_frame(std::string_view frame, Deadline deadline);

    // Whether any of the last frame went out; else the daemon was gone before that.
    bool has_sent() const { return has_sent_; }
    // False once it lost its way: the daemon is gone, too late, or not to be understood.
    bool is_usable() const { return is_usable_; }
    // Nobody waits any more for what was sent: the next call is not to get its answer.
    std::unexpected<Error> give_up(Error error);
    // What is wrong with a daemon that says `what`.
    static Error garbled(std::string_view what);
    // Whether something came, or the daemon went, before the moment.
    Try<bool> has_news_by(MonotonicTime moment);
    // Readable when it does.
    int fd() const { return socket_.get(); }
    // Whether some of the next reply, or all of it, came with the one before.
    bool has_unread() const { return incoming_.mid_message(); }
    // Whether the daemon has closed it; answers of before may still be there.
    bool is_closed() const;
    // Nothing goes either way any more; what the daemon sent until it knows can still be received.
    void hang_up() const;
    // We send no more; returns when the daemon has done all that was sent and closed its side.
    Try<void> part(Deadline deadline);

private:
    std::unexpected<Error> give_up(const Fault& fault);
    template <class Reply>
    Try<Received<Reply>> read(const Replied& replied)
    {
        Incoming incoming{Unknown::ignore, &descriptors_, 0};
        auto reply = decode<Reply>(replied.parameters, incoming);
        if (incoming.lacks_some)
            descriptors_.pop_front(); // What stands for them.
        if (!reply)
            return give_up(garbled(reply.error().name));
        return Received<Reply>{*std::move(reply), replied.continues};
    }

    // A reply that is no error, or the error as it is to be reported.
    Try<Replied> next_reply(Deadline deadline);
    Try<std::optional<Replied>> reply_if_there();
    Try<Replied> reply_of(std::string_view frame);
    Try<std::optional<std::string_view>> frame_if_there();
    Try<bool> fill(); // Whether something came.
    Try<void> wait_for(short events, Deadline deadline);
    Try<bool> poll_for(short events, Deadline deadline);

    PrivateFd socket_;
    FarEnd far_end_;
    FrameReader incoming_{max_reply_bytes};
    json::Document document_;
    std::deque<UniqueFd> descriptors_; // Of replies that are not decoded yet: Incoming.
    bool is_usable_ = true;
    bool has_sent_ = false;
};

} // namespace evfd
