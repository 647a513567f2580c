#include "daemon/ipc/connection.h"

#include "common/envelope.h"
#include "common/limits.h"
#include "daemon/service/dispatch.h"
#include "daemon/base/log.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>

namespace evfd::daemon {

namespace {

constexpr std::size_t read_bytes = 16 * 1024; // At a time.

// When something cannot go out because other clients do not read theirs, nobody tells us when they
// do.
constexpr std::chrono::milliseconds retry_after{20};

} // namespace

Connection::Connection(EventLoop& loop, Turns& turns, Service& service, json::Document& scratch,
                       UniqueFd socket, Descriptors descriptors, Session session, Dues dues)
    : id_{session.id}, loop_{loop}, turns_{turns}, service_{service}, scratch_{scratch},
      incoming_{max_call_bytes}, session_{std::move(session)}, dues_{std::move(dues)},
      socket_{std::move(socket)}, descriptors_{descriptors}
{
}

Connection::~Connection()
{
    lose_answers();
    pending_.reset(); // First, so that a wait takes nothing of what the session's end sets off.
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

void Connection::ask_for_turn()
{
    if (!std::exchange(has_asked_, true))
        turns_.ask(uid(), id_);
}

void Connection::wake()
{
    has_news_ = true;
    ask_for_turn();
}

Next Connection::on_events(std::uint32_t events)
{
    // The peer is gone. Calls that it sent before are still done, but a wait has nobody to tell.
    is_gone_ = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (is_gone_ && !is_promised() && (pending_ || is_blocked()))
        return Next::close;
    if ((events & (EPOLLIN | EPOLLHUP)) != 0) {
        has_unread_ = !takes_input();
        if (has_more_ && takes_input() && read() == Next::close)
            return Next::close;
    }
    if (!turns_.must_wait(uid()))
        return turn();
    ask_for_turn();
    return rest();
}

UniqueFd Connection::give_up()
{
    watch_.reset();
    return std::move(socket_);
}

// To read descriptors is to close them, which may sleep: see Closer.
Result<std::optional<Received>> Connection::receive_bytes(std::span<char> into) const
{
    if (descriptors_ == Descriptors::none)
        return receive(socket_, into);
    const auto there = peek(socket_, into);
    if (!there || !*there || (*there)->is_cut)
        return there;
    return receive(socket_, into.first((*there)->bytes)); // Nothing that came meanwhile.
}

Next Connection::read()
{
    std::array<char, read_bytes> buffer;
    const auto received = receive_bytes(buffer);
    if (!received)
        return hang_up(received.error().message());
    if (!*received)
        return Next::keep;
    if ((*received)->is_cut)
        return hang_up("it sends descriptors, and no call has any");
    has_more_ = (*received)->bytes > 0;
    const bool was_long = is_long_call();
    incoming_.append({buffer.data(), (*received)->bytes});
    has_calls_ = true;
    if (was_long || !is_long_call())
        return Next::keep;
    if (!service_.has_room_for_answers(uid()))
        return hang_up("a long call, and its user has as much on the way as may be");
    settle_dues(); // Before another one of that user is read.
    return Next::keep;
}

Next Connection::turn()
{
    has_asked_ = false;
    has_room_ = service_.has_room_for_answers(uid());
    const auto whole = turns_.share_of(uid());
    auto share = whole;
    const auto begin = monotonic_now();
    const auto answered = answer_calls(share, begin);
    // Also before a hang-up: what came before the call that is its cause has its answer.
    const auto flushed = flush();
    settle_dues();
    turns_.used(uid(), {whole.calls - share.calls, monotonic_now() - begin});
    if (flushed == Next::close || answered == Next::close)
        return Next::close;
    if (is_gone_ && pending_ && !is_promised()) // Or no longer so.
        return Next::close;
    return rest();
}

Next Connection::answer_calls(Share& share, MonotonicTime begin)
{
    const auto end = later(begin, share.time);
    advance_pending(end);
    for (bool is_first = true; has_calls_ && takes_calls() && share.calls > 0; is_first = false) {
        if (!is_first && monotonic_now() >= end)
            break;
        const auto frame = incoming_.next();
        if (!frame)
            return hang_up("a call longer than the limit");
        if (!*frame) {
            has_calls_ = false;
            break;
        }
        --share.calls;
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
        return hang_up(call.error());
    Caller caller{session_, [this] { wake(); }, socket_, accepted_, has_room_};
    pending_ = dispatch(service_, caller, *call, outbox_);
    tells_of_changes_ |= caller.changes;
    has_news_ = pending_ != nullptr;
    return Next::keep;
}

void Connection::advance_pending(MonotonicTime end_of_turn)
{
    bool has_time = true; // For one step in any case.
    for (; pending_ && has_news_ && (has_room_ || is_promised()) && !outbox_.is_high() && has_time;
         has_time = monotonic_now() < end_of_turn) {
        const auto progress = pending_->advance(outbox_);
        has_news_ = progress == Pending::Progress::more;
        if (progress == Pending::Progress::over)
            answered_.push_back({outbox_.written(), std::move(pending_)});
    }
}

// What has not gone out does not reach the client any more.
void Connection::lose_answers()
{
    for (const auto& answer : answered_)
        answer.pending->undelivered();
    answered_.clear();
    if (pending_)
        pending_->undelivered();
}

Next Connection::flush()
{
    retry_.reset();
    if (!may_tell()) {
        flushed_ = Outbox::Flushed::undrained; // That comes to its end without the client's doing.
        retry_.emplace(loop_.alarm(monotonic_after(retry_after), [this] { ask_for_turn(); }));
        return Next::keep;
    }
    const auto flushed = outbox_.flush(socket_);
    if (!flushed && flushed.error().error == EPIPE) { // It does not listen; its calls still count.
        lose_answers();
        outbox_ = {};
        flushed_ = Outbox::Flushed::all;
        return pending_ && !is_promised() ? Next::close : Next::keep;
    }
    if (!flushed)
        return hang_up(flushed.error().message());
    flushed_ = *flushed;
    std::erase_if(answered_, [&](const auto& answer) {
        const bool is_gone = answer.end <= outbox_.gone();
        if (is_gone)
            answer.pending->delivered();
        return is_gone;
    });
    const bool waits_for_others = flushed_ == Outbox::Flushed::undrained && is_drained(socket_);
    const bool waits_for_room = pending_ && has_news_ && !has_room_ && outbox_.is_empty();
    if (waits_for_others || waits_for_room)
        retry_.emplace(loop_.alarm(monotonic_after(retry_after), [this] { ask_for_turn(); }));
    return Next::keep;
}

// Nothing is told before it is certain. Who changed nothing is answered all the same: it is to be
// seen what is wrong.
bool Connection::may_tell()
{
    if (outbox_.is_empty())
        return true;
    const bool is_certain = service_.commit();
    const bool may_tell = is_certain || !tells_of_changes_;
    if (is_certain && !pending_)
        tells_of_changes_ = false;
    return may_tell;
}

void Connection::notice_reading()
{
    outbox_.notice_reading(socket_);
    settle_dues();
}

// Of what goes out at once, as nearly everything does, only what the session keeps is charged, and
// of what comes in only a long call, until the rest of it is there.
void Connection::settle_dues()
{
    const auto coming = is_long_call() ? max_call_bytes : 0; // As much as it may become.
    const auto kept = session_.count ? session_.count->reply.size() : 0; // To be told once more.
    dues_.unread_bytes.resize(static_cast<std::int64_t>(outbox_.unsent_bytes() + kept + coming));
    dues_.unread_descriptors.resize(static_cast<std::int64_t>(outbox_.unread_descriptors()));
}

Next Connection::rest()
{
    if (!is_blocked()) {
        const bool has_work = pending_ ? has_news_ && (has_room_ || is_promised()) : has_calls_;
        if (has_work)
            ask_for_turn(); // After the others had theirs.
        if (!has_work && !pending_ && !has_more_)
            return Next::close; // All that was asked is answered.
    }
    const auto wanted = wanted_events();
    if (wanted == watched_events_)
        return Next::keep;
    if (const auto changed = watch_->change(wanted); !changed)
        return hang_up(changed.error().message());
    watched_events_ = wanted;
    return Next::keep;
}

std::uint32_t Connection::wanted_events() const
{
    if (is_gone_ && is_promised())
        return EPOLLET; // That it is gone is told again when this changes.
    if (is_blocked())   // Only that the peer reads is news, and it is told once each time it does.
        return EPOLLOUT | EPOLLET;
    if (!has_more_ || (has_unread_ && !takes_input()))
        return 0; // EPOLLHUP comes all the same. epoll_ctl(2)
    return EPOLLIN;
}

Next Connection::hang_up(std::string_view why) const
{
    ++service_.counters().hang_ups;
    const auto& peer = session_.peer;
    log::info({.uid = peer.uid, .pid = peer.pid}, "let uid {} pid {} go: {}", peer.uid, peer.pid,
              why);
    return Next::close;
}

} // namespace evfd::daemon
