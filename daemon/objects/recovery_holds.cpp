// The part of recovery that restores holds and watched processes.
#include "daemon/objects/recovery.h"

#include "common/process.h"

#include <fmt/format.h>

#include <algorithm>

namespace evfd::daemon {

void Recovery::restore_process(Id id, const record::Process& record)
{
    auto pidfd = take_descriptor(id, is_pidfd);
    const ProcessWatcher::Identity identity{static_cast<pid_t>(record.pid),
                                            static_cast<uid_t>(record.uid)};
    auto process = pidfd ? registry_.processes.restore(id, identity, *std::move(pidfd),
                                                       charge_descriptor(identity.uid))
                         : Result<ProcessWatcher::Ref>{std::unexpected(Fault{"recvmsg(2)", EBADF})};
    if (process) {
        processes_.emplace(id, *std::move(process));
        return;
    }
    warn(fmt::format("cannot watch process {} any more: {}", record.pid,
                     pidfd ? process.error().message() : pidfd.error()));
    if (recovered_.has_unreadable_fds && !pidfd)
        // The record of the process stays in the state store, because a later daemon with a higher
        // descriptor limit can receive the pidfd.
        return;
    registry_.state_store.erase(id, record::Kind::process);
}

std::vector<ProcessWatcher::Ref> Recovery::holders(const record::TakenTokens& record) const
{
    std::vector<ProcessWatcher::Ref> found;
    for (const auto id : record.processes.value_or(std::vector<record::Id>{}))
        if (const auto process = processes_.find(static_cast<Id>(id)); process != processes_.end())
            found.push_back(process->second.copy());
    return found;
}

// Returns whether a process that holds the tokens has a record but could not be restored. If the
// pidfd of the process could not be received, a later daemon with a higher descriptor limit can
// receive the pidfd.
bool Recovery::has_unread_holder(const record::TakenTokens& record) const
{
    return std::ranges::any_of(record.processes.value_or(std::vector<record::Id>{}),
                               [&](record::Id id) {
                                   return recovered_.processes.contains(static_cast<Id>(id)) &&
                                          !processes_.contains(static_cast<Id>(id));
                               });
}

// Restores a hold. Returns false if nobody holds the tokens.
//
// The client has perhaps not received the reply about the hold. The hold is restored nevertheless:
// - A client that repeats the call gets the recorded reply, which names the hold.
// - A session whose client can no longer receive the reply ends, and its hold ends with it.
// - A process that is a holder has perhaps received the reply.
bool Recovery::restore_hold(Id id, const record::TakenTokens& record)
{
    auto* owner = find_session(record.session);
    if (owner ? owner->slot.sequence < record.sequence : !record.uid)
        return false;
    const bool is_by_session = owner && record.is_held_by_session.value_or(false);
    auto processes = holders(record);
    if (!is_by_session && processes.empty())
        // If the pidfd of a holder could not be received, the record of the hold stays in the state
        // store for a later daemon.
        return recovered_.has_unreadable_fds && has_unread_holder(record);
    const auto recorded = Token::parse(record.hold.value_or(""));
    const auto token = recorded ? Result<Token>{*recorded} : Token::make();
    if (!token)
        return false;
    const auto uid = owner ? owner->peer.uid : static_cast<uid_t>(record.uid.value_or(0));
    TakenTokens taken{id, record.sequence, to_taken_tokens(record.objects),
                      static_cast<Id>(record.session)};
    registry_.holds.restore(*token, {.uid = uid,
                                     .taken = std::move(taken),
                                     .charge = quota_.charge_unchecked(uid, Resource::waits),
                                     .session = is_by_session ? owner->id : 0,
                                     .processes = std::move(processes)});
    if (is_by_session)
        owner->held.push_back(*token);
    return true;
}

} // namespace evfd::daemon
