#include "daemon/ipc/fair_scheduler.h"

#include "daemon/limits.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace evfd::daemon {

FairScheduler::FairScheduler(EventLoop& loop, const Quota& quota, Serve serve)
    : loop_{loop}, quota_{quota}, serve_{std::move(serve)}
{
}

FairScheduler::User& FairScheduler::user(uid_t account)
{
    auto& user = users_[account];
    const auto iterations = loop_.iteration() - std::exchange(user.iteration, loop_.iteration());
    if (iterations == 0)
        return user;
    // If the last call took longer than the budget, budget.time is negative. This is the user's
    // debt, which each iteration reduces.
    const auto elapsed =
        static_cast<std::int64_t>(std::min(iterations, max_debt_iterations)) * max_user_time;
    const auto time = iterations < max_debt_iterations ? user.budget.time + elapsed : max_user_time;
    user.budget = {quota_.limit(account, Resource::calls),
                   std::min<nanoseconds>(time, max_user_time)};
    return user;
}

nanoseconds FairScheduler::total_time_left()
{
    if (std::exchange(total_iteration_, loop_.iteration()) != loop_.iteration())
        total_time_left_ = max_total_time;
    return total_time_left_;
}

Budget FairScheduler::budget_for(uid_t uid)
{
    auto budget = user(quota_.account(uid)).budget;
    budget.time =
        std::min(budget.time, std::max<nanoseconds>(total_time_left(), max_contended_time));
    if (!queue_.empty())
        budget.time = std::min<nanoseconds>(budget.time, max_contended_time);
    return budget;
}

void FairScheduler::charge(uid_t uid, const Budget& spent)
{
    auto& charged = user(quota_.account(uid));
    charged.budget.calls -= spent.calls;
    charged.budget.time -= spent.time;
    charged.used_time += spent.time;
    if (queue_.empty())
        min_used_time_ = std::max(min_used_time_, charged.used_time);
    total_time_left_ = total_time_left() - spent.time;
    prune_users();
}

bool FairScheduler::is_throttled(uid_t uid)
{
    return !queue_.empty() || total_time_left() <= nanoseconds{0} ||
           user(quota_.account(uid)).budget.is_exhausted();
}

void FairScheduler::enqueue(uid_t uid, std::uint64_t connection)
{
    const auto account = quota_.account(uid);
    auto& queued = user(account);
    queued.waiting.push_back(connection);
    if (!queued.is_queued)
        queue_user(account, queued);
    schedule();
}

void FairScheduler::schedule()
{
    if (!std::exchange(is_scheduled_, true))
        loop_.defer([this] { serve_all(); });
}

// Puts a user into the queue. Raises the user's used time to at least min_used_time_ minus
// max_user_time. This limits the advantage that a user has after a pause.
void FairScheduler::queue_user(uid_t account, User& user)
{
    user.used_time = std::max<nanoseconds>(user.used_time, min_used_time_ - max_user_time);
    user.is_queued = true;
    queue_.emplace(user.used_time, ++last_arrival_, account);
}

void FairScheduler::serve_all()
{
    is_scheduled_ = false;
    // The accounts that have work left. They are queued for the next iteration.
    std::vector<uid_t> requeued;
    // At least one connection is served, even if the total time is used up.
    bool has_served = false;
    while (!queue_.empty() && (!has_served || total_time_left() > nanoseconds{0})) {
        const auto [used_time, arrival, account] = *queue_.begin();
        queue_.erase(queue_.begin());
        min_used_time_ = std::max(min_used_time_, used_time);
        auto& served = user(account);
        has_served |= serve(served, account);
        served.is_queued = !served.waiting.empty();
        if (served.is_queued)
            requeued.push_back(account);
    }
    for (const auto account : requeued)
        queue_user(account, users_.at(account));
    prune_users();
    if (!queue_.empty())
        schedule();
}

// Serves queued connections of one user, each at most once. A connection that is enqueued again
// during this call waits for a later call. Returns whether a connection was served.
bool FairScheduler::serve(User& user, uid_t account)
{
    const auto used_before = user.used_time;
    bool has_served = false;
    for (auto remaining = user.waiting.size(); remaining > 0 && !budget_for(account).is_exhausted();
         --remaining) {
        if (!queue_.empty() && user.used_time - used_before >= max_contended_time)
            break;
        const auto connection = user.waiting.front();
        user.waiting.pop_front();
        serve_(connection);
        has_served = true;
    }
    return has_served;
}

void FairScheduler::prune_users()
{
    if (loop_.iteration() - pruned_in_ <= max_debt_iterations)
        return;
    pruned_in_ = loop_.iteration();
    std::erase_if(users_, [&](const auto& entry) {
        const auto& user = entry.second;
        return !user.is_queued && loop_.iteration() - user.iteration > max_debt_iterations;
    });
}

} // namespace evfd::daemon
