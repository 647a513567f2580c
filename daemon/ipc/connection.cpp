#include "daemon/ipc/connection.h"

#include "common/envelope.h"
#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/service/dispatch.h"

#include <cerrno>
#include <utility>

namespace evfd::daemon {

Connection::Connection(EventLoop& loop, FairScheduler& scheduler, Service& service,
                       json::Document& scratch, UniqueFd socket, IncomingFds descriptors,
                       Session session, ConnectionCharges charges)
    : id_{session.id}, loop_{loop}, scheduler_{scheduler}, service_{service}, scratch_{scratch},
      stream_{std::move(socket), descriptors}, session_{std::move(session)},
      charges_{std::move(charges)}
{
}

Connection::~Connection()
{
    replies_.drop();
    // The pending replies end before the session. If the session ended first, a wait could consume
    // the tokens that the end of the session returns.
    replies_ = {};
    service_.sessions().end(session_);
}

Result<void> Connection::attach(EventLoop::Callback callback)
{
    return stream_.attach(loop_, std::move(callback));
}

void Connection::enqueue()
{
    if (!std::exchange(is_queued_, true))
        scheduler_.enqueue(uid(), id_);
}

void Connection::wake()
{
    replies_.wake();
    enqueue();
}

Next Connection::on_events(std::uint32_t events)
{
    stream_.on_events(events);
    // Calls that the peer sent before it hung up are still executed. But nobody can receive a
    // pending or unsent reply, so a connection with such a reply is closed.
    if (stream_.peer_hung_up() && !replies_.must_finish() &&
        (replies_.is_pending() || stream_.is_blocked()))
        return Next::close;
    if (stream_.has_unread_input() && accepts_input() && read() == Next::close)
        return Next::close;
    if (!scheduler_.is_throttled(uid()))
        return serve();
    enqueue();
    return rest();
}

Next Connection::read()
{
    const bool was_long = stream_.is_long_call();
    if (const auto done = stream_.read(); !done)
        return disconnect(done.error());
    if (was_long || !stream_.is_long_call())
        return Next::keep;
    if (!service_.check_reply_room(uid()))
        return disconnect("it sent a long call while its user had too many unread bytes");
    // The call is long, although it is still incomplete. The user is charged for the call now,
    // before another connection of the user reads a call.
    update_charges();
    return Next::keep;
}

Next Connection::serve()
{
    is_queued_ = false;
    may_reply_ = service_.check_reply_room(uid()).has_value();
    const auto granted = scheduler_.budget_for(uid());
    auto calls_left = granted.calls;
    const TimeSlice slice{granted.time};
    scheduler_.begin_turn(slice.begin());
    const auto answered = answer_calls(calls_left, slice);
    // Flushes even if an invalid call is about to disconnect the client, because the calls before
    // the invalid call get their replies.
    const auto flushed = flush();
    update_charges();
    scheduler_.charge_turn(uid(), granted.calls - calls_left, slice.used());
    if (flushed == Next::close || answered == Next::close)
        return Next::close;
    // If the peer has hung up, a pending reply keeps the connection open only while must_finish()
    // returns true. on_events() has tested this already, but the calls that were answered since
    // then can have changed the result.
    if (stream_.peer_hung_up() && replies_.is_pending() && !replies_.must_finish())
        return Next::close;
    return rest();
}

// Advances the pending reply, and then answers calls while time and calls are left. Answers the
// first call even if the pending reply has used up the time.
Next Connection::answer_calls(std::int64_t& calls_left, const TimeSlice& slice)
{
    advance_pending(slice);
    for (bool is_first = true; stream_.has_calls() && accepts_calls() && calls_left > 0;
         is_first = false) {
        // Without buffered bytes, next_call() only frees the buffer, which takes no time.
        if (!is_first && stream_.has_buffered_input() && !slice.left())
            break;
        const auto call = stream_.next_call();
        if (!call)
            return disconnect(call.error());
        if (!*call)
            break;
        --calls_left;
        if (answer(**call) == Next::close)
            return Next::close;
        advance_pending(slice);
    }
    return Next::keep;
}

Next Connection::answer(std::string_view frame)
{
    const auto call = read_call(scratch_, frame);
    if (!call)
        return disconnect(call.error());
    Caller caller{session_, [this] { wake(); }, stream_.socket(), accepted_, may_reply_};
    replies_.start(dispatch(service_, caller, *call, stream_.output()));
    reports_changes_ |= caller.modifies_state;
    return Next::keep;
}

void Connection::advance_pending(const TimeSlice& slice)
{
    if (!can_advance())
        return;
    do
        replies_.advance(stream_.output());
    while (can_advance() && slice.left());
}

// Sends the output. A change is reported only after it is committed. While commits fail, replies
// that report no change are sent nevertheless, so that a client can find out what is wrong.
Next Connection::flush()
{
    retry_.reset();
    auto committed = commit();
    if (!committed && reports_changes_ && stream_.is_blocked()) {
        // Tries again later, because the state store can recover without any action of the client.
        retry_later();
        return Next::keep;
    }
    const auto flushed =
        committed ? stream_.flush(*std::move(committed)) : stream_.flush_without_changes();
    // EPIPE means that the peer reads nothing more. The calls that the peer sent are still
    // executed.
    if (!flushed && flushed.error().error == EPIPE) {
        replies_.drop();
        return replies_.is_pending() && !replies_.must_finish() ? Next::close : Next::keep;
    }
    if (!flushed)
        return disconnect(flushed.error().message());
    replies_.confirm(stream_.output().bytes_sent());
    const bool waits_for_others =
        *flushed == OutputQueue::Flushed::peer_has_unread_fds && is_drained(stream_.socket());
    const bool waits_for_room = replies_.is_ready() && !may_reply_ && !stream_.is_blocked();
    if (waits_for_others || waits_for_room)
        retry_later();
    return Next::keep;
}

// Commits all staged changes. Returns a Committed, the proof that Stream::flush() needs. Returns
// nothing if the connection has no output, or if the commit failed.
std::optional<Committed> Connection::commit()
{
    if (stream_.output().is_empty())
        return std::nullopt;
    auto committed = service_.commit();
    if (committed && !replies_.is_pending())
        reports_changes_ = false;
    return committed;
}

void Connection::retry_later()
{
    retry_.emplace(
        loop_.add_timeout(monotonic_deadline(flush_retry_interval), [this] { enqueue(); }));
}

void Connection::refresh_unread_fds()
{
    stream_.output().refresh_unread_fds(stream_.socket());
    update_charges();
}

// Charges the user for output that could not be sent at once, for descriptors that the client has
// not read, for the session's cached reply, and for a long call until the rest of the call arrives.
void Connection::update_charges()
{
    // A long call is charged as if it had the largest possible size.
    const auto coming = stream_.is_long_call() ? max_call_bytes : 0;
    // The session keeps its last reply, to send the reply again if the client repeats the call.
    const auto kept = session_.cached_bytes();
    const auto& output = stream_.output();
    charges_.unread_bytes.resize(static_cast<std::int64_t>(output.unsent_bytes() + kept + coming));
    charges_.unread_descriptors.resize(static_cast<std::int64_t>(output.unread_descriptors()));
}

// Decides which events the connection waits for, and enqueues the connection if it has work left.
Next Connection::rest()
{
    if (!stream_.is_blocked()) {
        const bool has_work = replies_.is_pending() ? can_advance() : stream_.has_calls();
        if (has_work)
            // The scheduler serves the connection again after the connections that are queued
            // already.
            enqueue();
        if (!has_work && !replies_.is_pending() && !stream_.input_is_open())
            // The peer sends no more calls, and all calls that it sent are answered.
            return Next::close;
    }
    if (const auto done = stream_.await(need()); !done)
        return disconnect(done.error().message());
    return Next::keep;
}

Stream::Need Connection::need() const
{
    if (replies_.must_finish())
        return Stream::Need::no_hangup;
    return accepts_input() ? Stream::Need::input : Stream::Need::no_input;
}

Next Connection::disconnect(std::string_view why) const
{
    ++service_.counters().disconnects;
    const auto& peer = session_.peer;
    service_.client_log().info({.uid = peer.uid, .pid = peer.pid}, "disconnected uid {} pid {}: {}",
                               peer.uid, peer.pid, why);
    return Next::close;
}

} // namespace evfd::daemon
