#include "daemon/waiting/wait.h"

#include "daemon/waiting/waits.h"

#include <utility>

namespace evfd::daemon {

Wait::Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
           CallId call, std::optional<HoldRequest> hold_request)
    : waits_{waits}, peer_{std::move(peer)}, charge_{std::move(charge)},
      // With one item, `any` and `all` mean the same, and `any` is simpler.
      require_{request.items.list.size() == 1 ? Require::any
                                              : request.require.value_or(Require::all)},
      hold_request_{std::move(hold_request)}, session_{call.session},
      taken_{.sequence = call.sequence}, wake_{std::move(wake)}
{
    parts_.reserve(request.items.list.size());
    for (const auto& item : request.items.list)
        parts_.push_back({.name = item.name, .required_count = required_count(item)});
}

Wait::~Wait()
{
    std::erase(waits_.started_, this);
    waits_.dequeue(*this);
}

std::optional<Outcome<protocol::Wait::Reply>>& Wait::outcome()
{
    if (is_complete_ && !outcome_) {
        protocol::Wait::Reply reply;
        reply.fired.reserve(parts_.size());
        for (const auto& part : parts_)
            reply.fired.push_back(Waits::fired(*this, part));
        outcome_ = std::move(reply);
    }
    if (outcome_ && *outcome_ && hold_request_)
        (*outcome_)->hold = hold_request_->hold.text();
    return outcome_;
}

void Wait::return_tokens()
{
    waits_.return_tokens(*this);
}

void Wait::confirm_taken(Session& session)
{
    if (taken_.tokens.empty())
        return;
    auto taken = std::exchange(taken_, {});
    if (!hold_request_)
        return waits_.registry_.tokens.confirm_taken(taken);
    waits_.registry_.holds.begin(session, *std::exchange(hold_request_, {}), std::move(taken),
                                 std::move(charge_));
}

void Wait::count(Part& part, std::int64_t times) const
{
    part.count += times;
    part.is_satisfied = part.count >= part.required_count;
}

void Wait::catch_up(Part& part) const
{
    if (!part.queue)
        return;
    part.is_satisfied |= part.queue->sets != std::exchange(part.sets, part.queue->sets);
    const auto before = std::exchange(part.times, part.queue->times);
    if (part.times != before)
        count(part, part.times - before);
}

bool Wait::is_blocked_on(const Part& part) const
{
    return require_ == Require::any || &part == &parts_[blocked_on_];
}

} // namespace evfd::daemon
