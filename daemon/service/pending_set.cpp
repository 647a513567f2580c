#include "daemon/service/pending_set.h"

#include <algorithm>
#include <string>
#include <utility>

namespace evfd::daemon {

Giving::Giving(Service& service, const Caller& caller, const Registry::Additions& additions,
               std::int64_t tokens)
    : service_{service}, session_{caller.session}, is_counted_{caller.is_counted},
      wake_{caller.wake}, tokens_{tokens}
{
    for (const auto& addition : additions)
        objects_.push_back({*addition.name, addition.object->serial});
    if (is_counted_) // By an earlier daemon, that was killed before the rest.
        given_ = std::min(std::exchange(session_.count->given, 0), tokens_ - 1);
    untold_ = tokens_ - given_;
}

Pending::Progress Giving::advance(Outbox& outbox)
{
    const auto calls = is_counted_ ? session_.count->calls : 0;
    const auto each = additions_per_token();
    if (each > max_tokens_per_set) // More have come to follow than one call may reach.
        return answer(std::unexpected(refuse::too_many_tokens_to_set(objects_.front().name)), calls,
                      outbox);
    const auto now = tokens_in_a_slice(each);
    const auto additions = next(now);
    const bool is_last = additions.empty() || given_ + now == tokens_;
    if (is_counted_ && is_last)
        service_.registry().count_call(session_, std::string{reply_to_set()});
    else if (is_counted_)
        service_.registry().count_given(session_, given_ + now);
    const auto before = given_;
    auto done = give(additions, now, each);
    if (!done && before > 0 && service_.registry().vault().fault()) {
        // It is too late for a refusal: the rest comes once it can be kept.
        given_ = before;
        if (is_counted_) {
            session_.count->calls = calls;
            service_.registry().count_given(session_, before);
        }
        retry_.emplace(service_.when_to_try_again(wake_));
        return Progress::later;
    }
    if (done && !is_last)
        return Progress::more;
    return answer(std::move(done), calls, outbox);
}

Pending::Progress Giving::answer(Outcome<void> done, std::int64_t calls_before, Outbox& outbox)
{
    const auto begin = outbox.written();
    if (done)
        outbox.append_text(reply_to_set());
    else
        service_.refuse(std::move(done.error()), outbox);
    if (is_counted_)
        service_.end_call(session_, calls_before, outbox.text_since(begin));
    return Progress::over;
}

// Who follows a pulse may have come since the last slice.
std::int64_t Giving::additions_per_token() const
{
    std::int64_t additions = 0;
    for (const auto& reference : objects_) {
        auto* object = service_.registry().find(reference);
        if (const auto* pulse = object ? object->pulse() : nullptr)
            additions += static_cast<std::int64_t>(pulse->followers().size());
        else
            additions += object ? 1 : 0;
    }
    return std::max<std::int64_t>(additions, 1);
}

std::int64_t Giving::tokens_in_a_slice(std::int64_t each) const
{
    const auto left = tokens_ - given_;
    const auto in_time = pace_.next(left * each) / each;
    return std::clamp<std::int64_t>(std::min(in_time, max_tokens_per_set / each), 1, left);
}

// What is still there. One set is one for those that do not count.
Registry::Additions Giving::next(std::int64_t tokens) const
{
    const bool is_last = given_ + tokens == tokens_;
    Registry::Additions additions;
    for (const auto& reference : objects_) {
        auto* object = service_.registry().find(reference);
        if (object && (given_ == 0 || counts(*object->mode())))
            additions.push_back({&reference.name, object, tokens, is_last ? untold_ : 0});
    }
    return additions;
}

Outcome<void> Giving::give(const Registry::Additions& additions, std::int64_t tokens,
                           std::int64_t each)
{
    const auto begin = monotonic_now();
    auto done = service_.registry().add(session_.peer, additions);
    pace_.took(tokens * each, monotonic_now() - begin);
    given_ += tokens;
    return done;
}

std::string_view reply_to_set()
{
    static const auto text = text_of(protocol::Set::Reply{});
    return text;
}

} // namespace evfd::daemon
