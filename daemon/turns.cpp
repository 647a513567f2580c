#include "daemon/turns.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

Turns::Turns(EventLoop& loop, Quota& quota, Serve serve)
    : loop_{loop}, quota_{quota}, serve_{std::move(serve)}
{
}

Turns::User& Turns::user(uid_t uid)
{
    auto& user = users_[uid];
    const auto turns = loop_.turn() - std::exchange(user.turn, loop_.turn());
    if (turns == 0)
        return user;
    // Who had more than its turn, for a call takes as long as it takes, misses some.
    const auto gone_by = static_cast<std::int64_t>(std::min(turns, longest_debt)) * max_turn;
    const auto time = turns < longest_debt ? user.share.time + gone_by : max_turn;
    user.share = {quota_.limit(uid, Resource::calls), std::min<nanoseconds>(time, max_turn)};
    return user;
}

Share& Turns::share_of(uid_t uid)
{
    return user(uid).share;
}

bool Turns::must_wait(uid_t uid)
{
    const auto& its = user(uid);
    return !its.waiting.empty() || its.share.is_used_up();
}

void Turns::ask(uid_t uid, std::uint64_t connection)
{
    user(uid).waiting.push_back(connection);
    if (!std::exchange(is_coming_, true))
        loop_.defer([this] { serve_all(); });
}

void Turns::serve_all()
{
    is_coming_ = false;
    for (const auto& [uid, user] : users_)
        serve(uid);
    std::erase_if(users_, [&](const auto& entry) {
        const auto& user = entry.second;
        return user.waiting.empty() && loop_.turn() - user.turn > longest_debt;
    });
    for (const auto& [uid, user] : users_)
        if (!user.waiting.empty() && !std::exchange(is_coming_, true))
            loop_.defer([this] { serve_all(); });
}

// Who asks again meanwhile comes after all that are there.
void Turns::serve(uid_t uid)
{
    auto& [turn, share, waiting] = user(uid);
    for (auto left = waiting.size(); left > 0 && !share.is_used_up(); --left) {
        const auto connection = waiting.front();
        waiting.pop_front();
        serve_(connection);
    }
}

} // namespace evfd::daemon
