#include "daemon/ipc/fair_scheduler.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace evfd::daemon {

Turns::Turns(EventLoop& loop, const Quota& quota, Serve serve)
    : loop_{loop}, quota_{quota}, serve_{std::move(serve)}
{
}

Turns::User& Turns::user(uid_t account)
{
    auto& user = users_[account];
    const auto turns = loop_.turn() - std::exchange(user.turn, loop_.turn());
    if (turns == 0)
        return user;
    // Who had more than its turn, for a call takes as long as it takes, misses some.
    const auto gone_by = static_cast<std::int64_t>(std::min(turns, longest_debt)) * max_turn;
    const auto time = turns < longest_debt ? user.share.time + gone_by : max_turn;
    user.share = {quota_.limit(account, Resource::calls), std::min<nanoseconds>(time, max_turn)};
    return user;
}

nanoseconds Turns::left_for_all()
{
    if (std::exchange(turn_of_all_, loop_.turn()) != loop_.turn())
        left_for_all_ = max_turn_of_all;
    return left_for_all_;
}

Share Turns::share_of(uid_t uid)
{
    auto share = user(quota_.account(uid)).share;
    share.time =
        std::min(share.time, std::max<nanoseconds>(left_for_all(), max_turn_beside_others));
    if (!line_.empty())
        share.time = std::min<nanoseconds>(share.time, max_turn_beside_others);
    return share;
}

void Turns::used(uid_t uid, const Share& much)
{
    auto& its = user(quota_.account(uid));
    its.share.calls -= much.calls;
    its.share.time -= much.time;
    its.had += much.time;
    if (line_.empty())
        least_had_ = std::max(least_had_, its.had);
    left_for_all_ = left_for_all() - much.time;
    forget_users();
}

bool Turns::must_wait(uid_t uid)
{
    return !line_.empty() || left_for_all() <= nanoseconds{0} ||
           user(quota_.account(uid)).share.is_used_up();
}

void Turns::ask(uid_t uid, std::uint64_t connection)
{
    const auto account = quota_.account(uid);
    auto& its = user(account);
    its.waiting.push_back(connection);
    if (!its.is_in_line)
        stand_in_line(account, its);
    come_again();
}

void Turns::come_again()
{
    if (!std::exchange(is_coming_, true))
        loop_.defer([this] { serve_all(); });
}

// Who was away does not save up more than a turn's time.
void Turns::stand_in_line(uid_t account, User& user)
{
    user.had = std::max<nanoseconds>(user.had, least_had_ - max_turn);
    user.is_in_line = true;
    line_.emplace(user.had, ++places_, account);
}

void Turns::serve_all()
{
    is_coming_ = false;
    std::vector<uid_t> again; // In the next turn.
    bool has_served = false;  // One in any case, whoever used the turn up.
    while (!line_.empty() && (!has_served || left_for_all() > nanoseconds{0})) {
        const auto [had, place, account] = *line_.begin();
        line_.erase(line_.begin());
        least_had_ = std::max(least_had_, had);
        auto& its = user(account);
        has_served |= serve(its, account);
        its.is_in_line = !its.waiting.empty();
        if (its.is_in_line)
            again.push_back(account);
    }
    for (const auto account : again)
        stand_in_line(account, users_.at(account));
    forget_users();
    if (!line_.empty())
        come_again();
}

// Who asks again meanwhile comes after all that are there.
bool Turns::serve(User& user, uid_t account)
{
    const auto had_before = user.had;
    bool has_served = false;
    for (auto left = user.waiting.size(); left > 0 && !share_of(account).is_used_up(); --left) {
        if (!line_.empty() && user.had - had_before >= max_turn_beside_others)
            break;
        const auto connection = user.waiting.front();
        user.waiting.pop_front();
        serve_(connection);
        has_served = true;
    }
    return has_served;
}

void Turns::forget_users()
{
    if (loop_.turn() - forgot_in_ <= longest_debt)
        return;
    forgot_in_ = loop_.turn();
    std::erase_if(users_, [&](const auto& entry) {
        const auto& user = entry.second;
        return !user.is_in_line && loop_.turn() - user.turn > longest_debt;
    });
}

} // namespace evfd::daemon
