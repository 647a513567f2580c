#include "daemon/objects/holds.h"

#include "common/limits.h"

#include <algorithm>
#include <array>

namespace evfd::daemon {

namespace {

std::int64_t token_count(const TakenTokens& taken)
{
    return static_cast<std::int64_t>(taken.tokens.size());
}

// Returns the charge of a hold: 1 for each token, and 1 for each holder but the first.
std::int64_t charge_amount(const Holds::Hold& hold)
{
    const auto holders =
        static_cast<std::int64_t>(hold.processes.size()) + (hold.session != 0 ? 1 : 0);
    return token_count(hold.taken) + std::max<std::int64_t>(holders, 1) - 1;
}

bool has_holder(const Holds::Hold& hold)
{
    return hold.session != 0 || !hold.processes.empty();
}

bool is_held_by(const Holds::Hold& hold, ProcessWatcher::Id process)
{
    return std::ranges::find(hold.processes, process, &ProcessWatcher::Ref::id) !=
           hold.processes.end();
}

} // namespace

void Holds::record_taken(std::uint64_t session, uid_t uid, const HoldRequest& request,
                         TakenTokens& taken)
{
    std::vector<ProcessWatcher::Id> processes;
    if (request.process)
        processes.push_back(request.process->id());
    const HoldRecord record{request.hold, uid, !request.process, std::move(processes)};
    tokens_.record_taken(session, taken, &record);
}

void Holds::begin(Session& session, HoldRequest request, TakenTokens taken, Quota::Charge charge)
{
    Hold hold{.uid = session.peer.uid,
              .taken = std::move(taken),
              .charge = std::move(charge),
              .session = request.process ? 0 : session.id};
    if (!request.process)
        session.held.push_back(request.hold);
    // If the process has ended, nobody would hold the tokens, so the tokens return at once. The
    // process can have ended although its connection is open: another process can use that
    // connection.
    else if (request.process->has_ended())
        return tokens_.return_tokens(std::array{std::move(hold.taken)});
    else
        hold.processes.push_back(*std::move(request.process));
    add(request.hold, std::move(hold));
}

void Holds::add(const Token& id, Hold hold)
{
    hold.charge.resize(charge_amount(hold));
    for (const auto& process : hold.processes)
        by_process_.emplace(process.id(), id);
    holds_.emplace(id, std::move(hold));
}

bool Holds::exists(const Token& id, uid_t uid) const
{
    const auto found = holds_.find(id);
    return found != holds_.end() && found->second.uid == uid;
}

Outcome<void> Holds::join(const Token& id, ProcessWatcher::Ref process)
{
    auto& hold = holds_.at(id);
    if (is_held_by(hold, process.id()))
        return {};
    if (const auto room = quota_.check(hold.uid, Resource::waits); !room)
        return room;
    by_process_.emplace(process.id(), id);
    hold.processes.push_back(std::move(process));
    hold.charge.resize(charge_amount(hold));
    persist(id, hold);
    return {};
}

// Records the hold with its present holders. When a holder ends, the record is not updated:
// recovery ignores each recorded holder that it does not find.
void Holds::persist(const Token& id, Hold& hold)
{
    std::vector<ProcessWatcher::Id> processes;
    for (const auto& process : hold.processes)
        processes.push_back(process.id());
    const HoldRecord record{id, hold.uid, hold.session != 0, std::move(processes)};
    tokens_.record_taken(hold.taken.session, hold.taken, &record);
}

bool Holds::is_holder(const Token& id, const Session& session,
                      std::optional<ProcessWatcher::Id> process) const
{
    const auto found = holds_.find(id);
    return found != holds_.end() && (found->second.session == session.id ||
                                     (process && is_held_by(found->second, *process)));
}

TakenTokens Holds::extract(HoldMap::iterator hold)
{
    for (const auto& process : hold->second.processes)
        by_process_.erase({process.id(), hold->first});
    auto taken = std::move(hold->second.taken);
    holds_.erase(hold);
    return taken;
}

void Holds::release(const Token& id)
{
    tokens_.return_tokens(std::array{extract(holds_.find(id))});
}

std::int64_t Holds::count_tokens(Session& session) const
{
    std::int64_t sum = 0;
    std::erase_if(session.held, [&](const Token& id) {
        const auto found = holds_.find(id);
        sum += found == holds_.end() ? 0 : token_count(found->second.taken);
        return found == holds_.end(); // A hold that is not found was released by another holder.
    });
    return sum;
}

std::vector<TakenTokens> Holds::end(Session& session)
{
    std::vector<TakenTokens> ended;
    for (const auto& id : std::exchange(session.held, {})) {
        const auto found = holds_.find(id);
        if (found == holds_.end())
            continue;
        found->second.session = 0;
        if (has_holder(found->second))
            found->second.charge.resize(charge_amount(found->second));
        else
            ended.push_back(extract(found));
    }
    return ended;
}

void Holds::end(ProcessWatcher::Id process)
{
    std::vector<TakenTokens> ended;
    std::int64_t done = 0;
    auto next = by_process_.lower_bound({process, Token{}});
    const auto has_more = [&] { return next != by_process_.end() && next->first == process; };
    while (has_more() && done < max_tokens_held) {
        const auto found = holds_.find(next->second);
        next = by_process_.erase(next);
        auto& hold = found->second;
        done += token_count(hold.taken);
        std::erase_if(hold.processes, [&](const auto& one) { return one.id() == process; });
        if (has_holder(hold))
            hold.charge.resize(charge_amount(hold));
        else
            ended.push_back(extract(found));
    }
    if (has_more())
        loop_.defer([this, process] { end(process); });
    tokens_.return_tokens(ended);
}

} // namespace evfd::daemon
