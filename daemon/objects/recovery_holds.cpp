// The part of recovery that restores holds and watched processes, and decides about taken tokens.
#include "daemon/objects/recovery.h"

#include "common/limits.h"
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
    registry_.holds.add(*token, {.uid = uid,
                                 .taken = std::move(taken),
                                 .charge = quota_.charge_unchecked(uid, Resource::waits),
                                 .session = is_by_session ? owner->id : 0,
                                 .processes = std::move(processes)});
    if (is_by_session)
        owner->held.push_back(*token);
    return true;
}

// Decides about each taken token:
// - A token of a restored hold stays in the hold. A token of any other hold returns to its event,
//   unless the record of the hold is kept for a later daemon.
// - A token of an uncommitted call, or of a call that the client cannot repeat, returns to its
//   event.
// - Any other token goes to Session::in_doubt, because the client has perhaps received the reply.
void Recovery::roll_back()
{
    auto to_put_back = taken_since_last_commit();
    for (const auto& [id, record] : recovered_.taken_tokens) {
        auto* owner = find_session(record.session);
        if (restore_hold(id, record))
            continue;
        const bool is_lent = record.is_held_by_session.value_or(false) || record.processes;
        if (owner && !is_lent && record.sequence > 0 && owner->slot.sequence >= record.sequence) {
            owner->in_doubt.push_back({id, record.sequence, to_taken_tokens(record.objects)});
            continue;
        }
        to_put_back.push_back({id, record.sequence, to_taken_tokens(record.objects)});
    }
    registry_.tokens.return_tokens(to_put_back);
}

// Lists the tokens that were taken after the last commit, and records them. So far, only the
// progress page shows these tokens. The first commit of this daemon clears the page, but the tokens
// can return to their events much later. Without the record, a crash in the meantime would lose the
// tokens.
std::vector<TakenTokens> Recovery::taken_since_last_commit()
{
    constexpr std::int64_t no_session = 0;
    std::vector<TakenTokens> all;
    for (const auto& [id, taken] : recovered_.takes) {
        if (taken == 0)
            continue;
        const auto* entry = find_event(id);
        // The journal has the whole state of a number. If the page has a take from its eventfd, the
        // commit that made the number an eventfd is missing. The number then still has the tokens.
        if (!entry || entry->second.event()->is_number())
            continue;
        if (all.empty() || all.back().tokens.size() == max_names_per_call)
            all.emplace_back();
        all.back().tokens.push_back({entry->first, id});
    }
    for (auto& taken : all)
        registry_.tokens.record_taken(no_session, taken);
    return all;
}

std::vector<TakenToken> Recovery::to_taken_tokens(const std::vector<record::Id>& serials) const
{
    std::vector<TakenToken> taken;
    for (const auto serial : serials)
        if (const auto* entry = find_event(static_cast<Id>(serial)))
            taken.push_back({entry->first, static_cast<Id>(serial)});
    return taken;
}

// Returns null for a pulse or a timer, even if a record says that its tokens were taken: only an
// event with a counter has tokens.
Recovery::Entry* Recovery::find_event(Id id) const
{
    const auto found = entries_.find(id);
    return found != entries_.end() && found->second->second.event() ? found->second : nullptr;
}

} // namespace evfd::daemon
