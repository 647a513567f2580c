// What was held, and the processes with which something ends.
#include "daemon/objects/recovery.h"

#include "common/process.h"

#include <fmt/format.h>

#include <algorithm>

namespace evfd::daemon {

void Restoration::restore_process(Id id, const record::Process& record)
{
    auto pidfd = take_parked(id, is_pidfd);
    const Processes::Who who{static_cast<pid_t>(record.pid), static_cast<uid_t>(record.uid)};
    auto process = pidfd ? registry_.processes_.restore(id, who, *std::move(pidfd))
                         : Result<Processes::Stay>{std::unexpected(Fault{"recvmsg(2)", EBADF})};
    if (process) {
        processes_.emplace(id, *std::move(process));
        return;
    }
    complain(fmt::format("whether the process {} has ended cannot be seen any more ({})",
                         record.pid, pidfd ? process.error().message() : pidfd.error()));
    if (left_.has_unread && !pidfd)
        return; // Its descriptor may be there for one that has more room.
    registry_.vault_.drop(id, record::Kind::process);
    registry_.vault_.unpark(id);
}

std::vector<Processes::Stay> Restoration::holders(const record::Takings& record) const
{
    std::vector<Processes::Stay> found;
    for (const auto id : record.processes.value_or(std::vector<record::Id>{}))
        if (const auto process = processes_.find(static_cast<Id>(id)); process != processes_.end())
            found.push_back(process->second.another());
    return found;
}

// One that may be there for a daemon that has room for more descriptors.
bool Restoration::has_unseen_holder(const record::Takings& record) const
{
    return std::ranges::any_of(record.processes.value_or(std::vector<record::Id>{}),
                               [&](record::Id id) {
                                   return left_.processes.contains(static_cast<Id>(id)) &&
                                          !processes_.contains(static_cast<Id>(id));
                               });
}

// Whether its client knows is no matter: when a session cannot be told any more it ends, and a
// process may have been told. But one that asks again has it taken again.
bool Restoration::restore_hold(Id id, const record::Takings& record)
{
    auto* owner = session(record.session);
    if (owner ? owner->count->calls < record.call : !record.uid)
        return false;
    const bool is_by_session = owner && record.held.value_or(false);
    auto processes = holders(record);
    if (!is_by_session && processes.empty())
        return left_.has_unread && has_unseen_holder(record); // It stays as it is.
    const auto known = Token::parse(record.hold.value_or(""));
    const auto token = known ? Result<Token>{*known} : Token::make();
    if (!token)
        return false;
    const auto uid = owner ? owner->peer.uid : static_cast<uid_t>(record.uid.value_or(0));
    Takings takings{id, record.call, named(record.from), static_cast<Id>(record.session)};
    registry_.holds_.restore(*token, {.uid = uid,
                                      .takings = std::move(takings),
                                      .charge = registry_.quota_.take_again(uid, Resource::waits),
                                      .session = is_by_session ? owner->id : 0,
                                      .processes = std::move(processes)});
    if (is_by_session)
        owner->held.push_back(*token);
    return true;
}

} // namespace evfd::daemon
