#include "daemon/ipc/connection.h"

#include "common/envelope.h"
#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/service/dispatch.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>

namespace evfd::daemon {

namespace {

constexpr std::size_t read_bytes = 16 * 1024; // The largest number of bytes that one read takes.

// Output may be blocked because other clients do not read theirs. No event of this socket reports
// when they do, so the connection tries again after this time.
constexpr std::chrono::milliseconds flush_retry_interval{20};

} // namespace

Connection::Connection(EventLoop& loop, FairScheduler& scheduler, Service& service,
                       json::Document& scratch, UniqueFd socket, IncomingFds descriptors,
                       Session session, ConnectionCharges charges)
    : id_{session.id}, loop_{loop}, scheduler_{scheduler}, service_{service}, scratch_{scratch},
      incoming_{max_call_bytes}, session_{std::move(session)}, charges_{std::move(charges)},
      socket_{std::move(socket)}, descriptors_{descriptors}
{
}

Connection::~Connection()
{
    drop_unsent_replies();
    // First, so that no wait consumes tokens that the end of the session returns.
    pending_.reset();
    service_.end(session_);
}

Result<void> Connection::attach(EventLoop::Callback callback)
{
    watched_events_ = EPOLLIN;
    auto watch = loop_.watch(socket_, watched_events_, std::move(callback));
    if (!watch)
        return std::unexpected(watch.error());
    watch_.emplace(*std::move(watch));
    return {};
}

void Connection::enqueue()
{
    if (!std::exchange(is_queued_, true))
        scheduler_.enqueue(uid(), id_);
}

void Connection::wake()
{
    pending_is_ready_ = true;
    enqueue();
}

Next Connection::on_events(std::uint32_t events)
{
    // The peer has hung up. Calls that it sent before are still done, but a wait has no receiver.
    peer_hung_up_ = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (peer_hung_up_ && !must_finish() && (pending_ || is_blocked()))
        return Next::close;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0) {
        has_unread_ = !accepts_input();
        if (input_open_ && accepts_input() && read() == Next::close)
            return Next::close;
    }
    if (!scheduler_.is_throttled(uid()))
        return serve();
    enqueue();
    return update_epoll_events();
}

UniqueFd Connection::release_socket()
{
    watch_.reset();
    return std::move(socket_);
}

// Reading descriptors means closing them, which may sleep: see FdCloser.
Result<std::optional<Received>> Connection::receive_bytes(std::span<char> into) const
{
    if (descriptors_ == IncomingFds::none)
        return receive(socket_, into);
    const auto peeked = peek(socket_, into);
    if (!peeked || !*peeked || (*peeked)->is_truncated)
        return peeked;
    // Reads no byte that has arrived since the peek.
    return receive(socket_, into.first((*peeked)->bytes));
}

Next Connection::read()
{
    std::array<char, read_bytes> buffer;
    const auto received = receive_bytes(buffer);
    if (!received)
        return disconnect(received.error().message());
    if (!*received)
        return Next::keep;
    if ((*received)->is_truncated)
        return disconnect("it sent descriptors, which no call accepts");
    input_open_ = (*received)->bytes > 0;
    const bool was_long = is_long_call();
    incoming_.append({buffer.data(), (*received)->bytes});
    has_calls_ = true;
    if (was_long || !is_long_call())
        return Next::keep;
    if (!service_.has_reply_room(uid()))
        return disconnect("it sent a long call while its user had too many unread bytes");
    update_charges(); // Charges this call before another one of the same user is read.
    return Next::keep;
}

Next Connection::serve()
{
    is_queued_ = false;
    may_reply_ = service_.has_reply_room(uid());
    const auto granted = scheduler_.budget_for(uid());
    auto left = granted;
    const auto begin = monotonic_now();
    const auto answered = answer_calls(left, begin);
    // Also before a disconnect: calls before the invalid one get their replies.
    const auto flushed = flush();
    update_charges();
    scheduler_.charge(uid(), {granted.calls - left.calls, monotonic_now() - begin});
    if (flushed == Next::close || answered == Next::close)
        return Next::close;
    // Checked again, because must_finish() may have changed.
    if (peer_hung_up_ && pending_ && !must_finish())
        return Next::close;
    return update_epoll_events();
}

Next Connection::answer_calls(Budget& budget, MonotonicTime begin)
{
    const auto end = add_saturating(begin, budget.time);
    advance_pending(end);
    for (bool is_first = true; has_calls_ && accepts_calls() && budget.calls > 0;
         is_first = false) {
        if (!is_first && monotonic_now() >= end)
            break;
        const auto frame = incoming_.next();
        if (!frame)
            return disconnect("it sent a call longer than the limit");
        if (!*frame) {
            has_calls_ = false;
            break;
        }
        --budget.calls;
        if (answer(**frame) == Next::close)
            return Next::close;
        advance_pending(end);
    }
    return Next::keep;
}

Next Connection::answer(std::string_view frame)
{
    const auto call = read_call(scratch_, frame);
    if (!call)
        return disconnect(call.error());
    Caller caller{session_, [this] { wake(); }, socket_, accepted_, may_reply_};
    pending_ = dispatch(service_, caller, *call, output_);
    reports_changes_ |= caller.modifies_state;
    pending_is_ready_ = pending_ != nullptr;
    return Next::keep;
}

void Connection::advance_pending(MonotonicTime end)
{
    bool has_time = true; // The first step is taken in any case.
    for (; pending_ && pending_is_ready_ && (may_reply_ || must_finish()) &&
           !output_.above_high_water() && has_time;
         has_time = monotonic_now() < end) {
        const auto progress = pending_->advance(output_);
        pending_is_ready_ = progress == PendingReply::Progress::again;
        if (progress == PendingReply::Progress::done)
            unsent_.push_back({output_.bytes_queued(), std::move(pending_)});
    }
}

// Unsent replies no longer reach the client.
void Connection::drop_unsent_replies()
{
    for (const auto& unsent : unsent_)
        unsent.pending->on_dropped();
    unsent_.clear();
    if (pending_)
        pending_->on_dropped();
}

Next Connection::flush()
{
    retry_.reset();
    if (!may_send()) {
        // The state store recovers without any action of the client.
        flushed_ = OutputQueue::Flushed::peer_has_unread_fds;
        retry_.emplace(
            loop_.add_timeout(monotonic_deadline(flush_retry_interval), [this] { enqueue(); }));
        return Next::keep;
    }
    const auto flushed = output_.flush(socket_);
    // The peer does not read, but its calls still count.
    if (!flushed && flushed.error().error == EPIPE) {
        drop_unsent_replies();
        output_ = {};
        flushed_ = OutputQueue::Flushed::all;
        return pending_ && !must_finish() ? Next::close : Next::keep;
    }
    if (!flushed)
        return disconnect(flushed.error().message());
    flushed_ = *flushed;
    std::erase_if(unsent_, [&](const auto& unsent) {
        const bool is_sent = unsent.end <= output_.bytes_sent();
        if (is_sent)
            unsent.pending->on_sent();
        return is_sent;
    });
    const bool waits_for_others =
        flushed_ == OutputQueue::Flushed::peer_has_unread_fds && is_drained(socket_);
    const bool waits_for_room = pending_ && pending_is_ready_ && !may_reply_ && output_.is_empty();
    if (waits_for_others || waits_for_room)
        retry_.emplace(
            loop_.add_timeout(monotonic_deadline(flush_retry_interval), [this] { enqueue(); }));
    return Next::keep;
}

// A change is not reported before it is certain. A client that changed nothing is answered all the
// same, so that it can find out what is wrong.
bool Connection::may_send()
{
    if (output_.is_empty())
        return true;
    const bool is_certain = service_.commit();
    const bool may_tell = is_certain || !reports_changes_;
    if (is_certain && !pending_)
        reports_changes_ = false;
    return may_tell;
}

void Connection::refresh_unread_fds()
{
    output_.refresh_unread_fds(socket_);
    update_charges();
}

// Nearly all output is sent at once. So only unsent output and the session's recorded reply are
// charged, and of the input only a long call, until the rest of it arrives.
void Connection::update_charges()
{
    // A long call is charged as if it had the largest possible size.
    const auto coming = is_long_call() ? max_call_bytes : 0;
    // The session keeps this reply, to send it again if the client repeats the call.
    const auto kept = session_.reply_cache ? session_.reply_cache->cached_reply.size() : 0;
    charges_.unread_bytes.resize(static_cast<std::int64_t>(output_.unsent_bytes() + kept + coming));
    charges_.unread_descriptors.resize(static_cast<std::int64_t>(output_.unread_descriptors()));
}

Next Connection::update_epoll_events()
{
    if (!is_blocked()) {
        const bool has_work =
            pending_ ? pending_is_ready_ && (may_reply_ || must_finish()) : has_calls_;
        if (has_work)
            enqueue(); // The connection is served again after the others.
        if (!has_work && !pending_ && !input_open_)
            return Next::close; // Everything is answered.
    }
    const auto wanted = wanted_events();
    if (wanted == watched_events_)
        return Next::keep;
    if (const auto changed = watch_->change(wanted); !changed)
        return disconnect(changed.error().message());
    watched_events_ = wanted;
    return Next::keep;
}

std::uint32_t Connection::wanted_events() const
{
    if (peer_hung_up_ && must_finish())
        return EPOLLET; // The kernel reports the hangup again when the mask changes.
    if (is_blocked())   // Waits only for the peer to read. Each read gives one event.
        return EPOLLOUT | EPOLLET;
    if (!input_open_ || (has_unread_ && !accepts_input()))
        return 0; // EPOLLHUP is reported all the same. epoll_ctl(2)
    return EPOLLIN;
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
