// A line to the daemon: a session over one connection at a time. When the daemon is killed, the
// session is taken up again on the next connection: what belongs to it goes on, and the call that
// was under way is sent again, which the daemon does once. One thread at a time.
#pragma once

#include "client/core/address.h"
#include "client/core/session_handles.h"
#include "client/core/connection.h"
#include "client/core/credentials.h"
#include "evfd/error.h"
#include "common/clock.h"

#include <deque>
#include <optional>
#include <string>

namespace evfd {

class Line {
public:
    // `patience`: how long the daemon may take to answer, or to be there again.
    // `was_connected`: the daemon was there once, so it is waited for.
    Line(const Address& address, nanoseconds patience, bool was_connected = false)
        : address_{&address}, patience_{patience}, was_connected_{was_connected}
    {
    }

    // Whether it can be used as it is.
    bool is_connected() const { return channel_ && channel_->is_usable(); }
    // Connects if it is not; takes the session up again. A daemon that was there is waited for.
    Try<void> connect();
    bool was_connected() const { return was_connected_; }
    // Whether something may belong to it.
    bool has_session() const { return !session_.empty(); }
    // Whether a call on it is one of a process that is `who`. A session is its user's for good.
    bool is_of(const Credentials& who) const { return session_.empty() || user_ == who; }
    // What belongs to the session; empty once it has ended.
    Belongings& belongings() { return belongings_; }
    const Belongings& belongings() const { return belongings_; }
    // A session that has lost its connection gets one if the daemon is there now: without waiting
    // for it, or starting it. False if it is not.
    bool take_up_if_lost();
    // As long as is_connected().
    Channel& channel() { return *channel_; }
    const Channel& channel() const { return *channel_; }

    // A call and its answer. What came to nothing because the daemon was killed is done again.
    template <Message Request>
    Try<typename Request::Reply> call(const Request& request)
    {
        return call_sending<Request>([&] { return request; },
                                     [&](Channel& channel) {
                                         return receive<Request>(channel,
                                                                 monotonic_after(patience_));
                                     });
    }

    // The same, where what is sent depends on the time, and how it is waited for is the caller's
    // business: `await(channel)` gives the reply.
    template <Message Request, class MakeRequest, class Await>
    Try<typename Request::Reply> call_sending(MakeRequest make_request, Await await)
    {
        for (Attempt attempt;;) {
            if (const auto ready = begin(attempt, protocol::is_repeatable<Request>); !ready) {
                if (attempt.was_sent) // And may have been done: the next one would be answered so.
                    end();
                return std::unexpected(ready.error());
            }
            const auto sent = channel_->send(make_request(), monotonic_after(patience_));
            attempt.was_sent |= channel_->has_sent();
            auto reply = sent ? await(*channel_)
                              : Try<typename Request::Reply>{std::unexpected(sent.error())};
            if (is_connected()) {
                note_answer(protocol::is_counted<Request>);
                return reply;
            }
            if (reply) // Or the time for it was over, and nobody will know how it ended.
                return reply;
            if (reply.error().code != ErrorCode::interrupted) {
                end();
                return reply;
            }
            if (goes_on_too_long(attempt)) {
                end();
                return reply;
            }
        }
    }

    template <Message Request>
    static Try<typename Request::Reply> receive(Channel& channel, Deadline deadline)
    {
        auto received = channel.receive<Request>(deadline);
        if (!received)
            return std::unexpected(received.error());
        return std::move(received->reply);
    }

    // A call whose answer is not awaited. It reaches the daemon once the line is connected, or has
    // become meaningless with the end of the session.
    template <Message Request>
    void tell(const Request& request)
    {
        if (session_.empty()) // It has nothing that this could be about.
            return;
        if (told_.size() == max_told)
            told_.pop_front();
        told_.push_back(Channel::frame_of(request, Answers::none));
        if (is_connected())
            (void)channel_->send_frame(told_.back(), monotonic_after(patience_));
    }

    // To a call that was sent and awaited by hand, on a line that is still connected.
    void note_answer(bool counts);
    // The session is given up; with the next call another one begins.
    void end();
    // The same, when the daemon has done what goes with it. An error: the daemon is not there, or
    // it had forgotten the session.
    Try<void> finish();

private:
    static constexpr std::size_t max_told = 1024;

    // One call, which may take several.
    struct Attempt {
        bool was_sent = false;
        MonotonicTime first_interruption{};
        MonotonicTime last_interruption{};
    };

    Try<void> begin(const Attempt& attempt, bool is_repeatable);
    Try<PrivateFd> reach();
    void use(PrivateFd socket);
    Try<bool> take_up();
    Try<bool> is_left();
    bool goes_on_too_long(Attempt& attempt) const;

    const Address* address_;
    nanoseconds patience_;
    bool was_connected_ = false;
    std::optional<Channel> channel_;
    std::string session_; // Its token; empty before the first connection.
    Credentials user_;    // With which the session began.
    Belongings belongings_;
    std::int64_t calls_ = 0;       // That were counted and answered.
    std::deque<std::string> told_; // Since the last answer: the daemon may not have read it.
};

} // namespace evfd
