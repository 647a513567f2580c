#include "daemon/objects/holds.h"

#include "common/limits.h"
#include "daemon/objects/registry.h"

#include <algorithm>
#include <array>

namespace evfd::daemon {

namespace {

std::int64_t tokens(const Takings& takings)
{
    return static_cast<std::int64_t>(takings.taken.size());
}

// Each token is one, and each holder but the first.
std::int64_t price(const Holds::Hold& hold)
{
    const auto holders =
        static_cast<std::int64_t>(hold.processes.size()) + (hold.session != 0 ? 1 : 0);
    return tokens(hold.takings) + std::max<std::int64_t>(holders, 1) - 1;
}

bool is_held(const Holds::Hold& hold)
{
    return hold.session != 0 || !hold.processes.empty();
}

bool has(const Holds::Hold& hold, Processes::Id process)
{
    return std::ranges::find(hold.processes, process, &Processes::Stay::id) != hold.processes.end();
}

} // namespace

// Beginning.

void Holds::keep_taken(std::uint64_t session, uid_t uid, const Lending& lending, Takings& takings)
{
    std::vector<Processes::Id> processes;
    if (lending.process)
        processes.push_back(lending.process->id());
    const Lent lent{lending.hold, uid, !lending.process, std::move(processes)};
    registry_.keep_takings(session, takings, &lent);
}

void Holds::begin(Session& session, Lending lending, Takings takings, Quota::Charge charge)
{
    Hold hold{.uid = session.peer.uid,
              .takings = std::move(takings),
              .charge = std::move(charge),
              .session = lending.process ? 0 : session.id};
    if (!lending.process)
        session.held.push_back(lending.hold);
    else if (lending.process->has_ended()) // Someone else had its connection.
        return registry_.put_back(std::array{std::move(hold.takings)});
    else
        hold.processes.push_back(*std::move(lending.process));
    add(lending.hold, std::move(hold));
}

void Holds::add(const Token& id, Hold hold)
{
    hold.charge.resize(price(hold));
    for (const auto& process : hold.processes)
        by_process_.emplace(process.id(), id);
    all_.emplace(id, std::move(hold));
}

void Holds::restore(const Token& id, Hold hold)
{
    add(id, std::move(hold));
}

// While it lasts.

bool Holds::is_there(const Token& id, uid_t uid) const
{
    const auto found = all_.find(id);
    return found != all_.end() && found->second.uid == uid;
}

Outcome<void> Holds::join(const Token& id, Processes::Stay process)
{
    auto& hold = all_.at(id);
    if (has(hold, process.id()))
        return {};
    if (const auto room = quota_.check(hold.uid, Resource::waits); !room)
        return std::unexpected(refuse::quota_exceeded(room.error()));
    by_process_.emplace(process.id(), id);
    hold.processes.push_back(std::move(process));
    hold.charge.resize(price(hold));
    keep(id, hold);
    return {};
}

// The record says still that the session or a process holds it when that has ended: then it is
// there no more for whoever reads this.
void Holds::keep(const Token& id, Hold& hold)
{
    std::vector<Processes::Id> processes;
    for (const auto& process : hold.processes)
        processes.push_back(process.id());
    const Lent lent{id, hold.uid, hold.session != 0, std::move(processes)};
    registry_.keep_takings(hold.takings.session, hold.takings, &lent);
}

bool Holds::is_holder(const Token& id, const Session& session,
                      std::optional<Processes::Id> process) const
{
    const auto found = all_.find(id);
    return found != all_.end() &&
           (found->second.session == session.id || (process && has(found->second, *process)));
}

// The end.

Takings Holds::extract(All::iterator hold)
{
    for (const auto& process : hold->second.processes)
        by_process_.erase({process.id(), hold->first});
    auto takings = std::move(hold->second.takings);
    all_.erase(hold);
    return takings;
}

void Holds::release(const Token& id)
{
    registry_.put_back(std::array{extract(all_.find(id))});
}

std::int64_t Holds::tokens_of(Session& session) const
{
    std::int64_t sum = 0;
    std::erase_if(session.held, [&](const Token& id) {
        const auto found = all_.find(id);
        sum += found == all_.end() ? 0 : tokens(found->second.takings);
        return found == all_.end(); // Another holder gave it back.
    });
    return sum;
}

std::vector<Takings> Holds::end(Session& session)
{
    std::vector<Takings> ended;
    for (const auto& id : std::exchange(session.held, {})) {
        const auto found = all_.find(id);
        if (found == all_.end())
            continue;
        found->second.session = 0;
        if (is_held(found->second))
            found->second.charge.resize(price(found->second));
        else
            ended.push_back(extract(found));
    }
    return ended;
}

void Holds::end(Processes::Id process)
{
    std::vector<Takings> ended;
    std::int64_t done = 0;
    auto next = by_process_.lower_bound({process, Token{}});
    const auto has_more = [&] { return next != by_process_.end() && next->first == process; };
    while (has_more() && done < max_tokens_held) {
        const auto found = all_.find(next->second);
        next = by_process_.erase(next);
        auto& hold = found->second;
        done += tokens(hold.takings);
        std::erase_if(hold.processes, [&](const auto& one) { return one.id() == process; });
        if (is_held(hold))
            hold.charge.resize(price(hold));
        else
            ended.push_back(extract(found));
    }
    if (has_more())
        loop_.defer([this, process] { end(process); });
    registry_.put_back(ended);
}

} // namespace evfd::daemon
