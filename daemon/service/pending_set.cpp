#include "daemon/service/pending_set.h"

#include "daemon/service/write_refusal.h"

#include <algorithm>
#include <string>
#include <utility>

namespace evfd::daemon {

PendingSet::PendingSet(EventLoop& loop, Registry& registry, Delivery& delivery, Counters& counters,
                       const Caller& caller, const Increments& increments)
    : loop_{loop}, registry_{registry}, delivery_{delivery}, counters_{counters},
      session_{caller.session}, reply_cache_{registry, caller.session}, wake_{caller.wake}
{
    for (const auto& increment : increments) {
        if (increment.object)
            targets_.push_back({{*increment.name, increment.object->serial}, increment.tokens});
        tokens_ = std::max(tokens_, increment.tokens);
    }
    // The recorded progress is above 0 if an earlier daemon was killed when it had added only a
    // part of the tokens.
    applied_ = std::min(reply_cache_.progress(), tokens_ - 1);
    applied_before_ = applied_;
}

PendingReply::Progress PendingSet::advance(OutputQueue& output)
{
    const auto each = increments_per_token();
    // The Set fails if one token for each target takes more increments than one call is allowed to
    // make. This can happen, because a pulse takes one increment for each subscriber, and can get
    // new subscribers between two slices.
    if (each > max_tokens_per_set)
        return finish(std::unexpected(refuse::too_many_tokens_to_set(targets_.front().object.name)),
                      output);
    const auto now = tokens_per_slice(each);
    const auto increments = next_increments(now);
    const bool is_last = increments.empty() || applied_ + now == tokens_;
    if (is_last)
        reply_cache_.commit(set_reply());
    else
        reply_cache_.progress(applied_ + now);
    const auto before = applied_;
    const auto& store = registry_.state_store;
    const auto last_commit = store.last_commit();
    auto done = apply_batch(increments, now, each);
    // A batch that failed without a commit has added no token.
    if (!done && before > 0 && store.fault() && store.last_commit() == last_commit) {
        // The call cannot be refused any more, because a part of its tokens has been added. The
        // remaining tokens are added when the state store can record them.
        applied_ = before;
        reply_cache_.progress(before);
        retry_.emplace(loop_.add_timeout(monotonic_deadline(commit_retry_interval), wake_));
        return Progress::blocked;
    }
    if (done && !is_last)
        return Progress::again;
    return finish(std::move(done), output);
}

PendingReply::Progress PendingSet::finish(Outcome<void> done, OutputQueue& output)
{
    const auto begin = output.bytes_queued();
    if (done)
        output.append_text(set_reply());
    else
        write_refusal(done.error(), counters_, output);
    reply_cache_.finish(output.text_since(begin));
    return Progress::done;
}

// Returns the target's object if this Set must still add tokens to it. Returns null if the object
// was deleted, or has got all of its tokens. A manual or auto event has got all of its tokens after
// the first slice, because it does not accumulate tokens.
Object* PendingSet::find_incomplete(const Target& target) const
{
    if (target.tokens <= applied_)
        return nullptr;
    auto* object = registry_.objects.find(target.object);
    const bool is_set_already = object && applied_ > 0 && !accumulates(*object->mode());
    return is_set_already ? nullptr : object;
}

// Returns how many increments add one token to each target that has not got all of its tokens. See
// count_increments(). A pulse that has got all of its tokens is not counted. If it were counted,
// its new subscribers could make the Set fail, although the Set has nothing more to do for this
// pulse.
std::int64_t PendingSet::increments_per_token() const
{
    std::int64_t increments = 0;
    for (const auto& target : targets_) {
        auto* object = find_incomplete(target);
        if (object)
            increments += count_increments(*object, 1);
    }
    return increments;
}

std::int64_t PendingSet::tokens_per_slice(std::int64_t each) const
{
    const auto left = tokens_ - applied_;
    if (each == 0)
        return left;
    const auto in_time = batch_sizer_.next_batch(left * each) / each;
    return std::clamp<std::int64_t>(std::min(in_time, max_tokens_per_set / each), 1, left);
}

// Returns the increments of the next batch. In the last batch for a pulse, reported_pulses is the
// number of tokens that this daemon adds to the pulse in all batches. In the earlier batches,
// reported_pulses is 0.
Increments PendingSet::next_increments(std::int64_t tokens) const
{
    Increments increments;
    for (const auto& target : targets_) {
        auto* object = find_incomplete(target);
        if (!object)
            continue;
        const auto left = target.tokens - applied_;
        const auto now = std::min(tokens, left);
        increments.push_back(
            {&target.object.name, object, now, now == left ? target.tokens - applied_before_ : 0});
    }
    return increments;
}

Outcome<void> PendingSet::apply_batch(const Increments& increments, std::int64_t tokens,
                                      std::int64_t each)
{
    const auto begin = monotonic_now();
    auto done = registry_.setting.add(session_.peer, increments);
    delivery_.apply();
    if (each > 0)
        batch_sizer_.record(tokens * each, monotonic_now() - begin);
    applied_ += tokens;
    return done;
}

std::string_view set_reply()
{
    static const auto text = text_of(protocol::Set::Reply{});
    return text;
}

} // namespace evfd::daemon
