// Holds: keeps the tokens that waits have consumed for a hold.
//
// A hold is a set of consumed tokens with one or more holders. Any number of processes can be
// holders. At most one session is a holder: the session of the wait that consumed the tokens. A
// process becomes a holder by waiting for the tokens, or later by join(). The tokens return to
// their events exactly once: when a holder releases the hold, or when the last holder has ended. A
// process is known by its pidfd alone (see ProcessWatcher), so a hold survives the connections of
// its holders and a restart of the daemon.
//
// Before the waiter gets its reply, record_taken() records the tokens together with their future
// holders. After a crash, recovery therefore either returns the tokens to their events or restores
// the hold.
//
// Invariants: each held token is in exactly one hold. by_process_ lists exactly the process holders
// of all holds. The charge of a hold is one unit for each token and one unit for each holder except
// the first.
#pragma once

#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"
#include "daemon/objects/token_log.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace evfd::daemon {

// The hold that a wait asks for: the random token that names the hold, and the future holder.
struct HoldRequest {
    Token hold;
    // The process that becomes the holder. Empty if the session of the wait becomes the holder.
    std::optional<ProcessWatcher::Ref> process = {};
};

class Holds {
public:
    struct Hold {
        uid_t uid; // The user whose processes may join the hold.
        TakenTokens taken;
        Quota::Charge charge;
        std::uint64_t session = 0; // The session's id if a session is a holder; else 0.
        std::vector<ProcessWatcher::Ref> processes = {};
    };

    Holds(EventLoop& loop, Quota& quota, TokenLog& tokens)
        : loop_{loop}, quota_{quota}, tokens_{tokens}
    {
    }
    Holds(const Holds&) = delete;

    // Records that a wait of `session` consumed these tokens for the hold. With this record,
    // recovery can restore the hold after a crash: see Recovery::restore_hold().
    void record_taken(std::uint64_t session, uid_t uid, const HoldRequest& request,
                      TakenTokens& taken);
    // Begins the hold. Called when the waiter has received the reply.
    void begin(Session& session, HoldRequest request, TakenTokens taken, Quota::Charge charge);
    // Adds a hold that begins, or that recovery restores.
    void add(const Token& id, Hold hold);

    // Returns whether the hold `id` exists and belongs to the user `uid`.
    bool exists(const Token& id, uid_t uid) const;
    // Makes the process a holder of the hold `id`, which must exist.
    Outcome<void> join(const Token& id, ProcessWatcher::Ref process);
    bool is_holder(const Token& id, const Session& session,
                   std::optional<ProcessWatcher::Id> process) const;
    // Ends the hold `id`, which must exist, and returns its tokens to their events.
    void release(const Token& id);

    // Returns the number of tokens that the session holds.
    std::int64_t count_tokens(Session& session) const;
    // Removes the session from the holders of all holds. The result contains the tokens that nobody
    // holds any more. The caller must return these tokens to their events.
    std::vector<TakenTokens> end(Session& session);
    // Removes the process from the holders of all holds. If a hold then has no holder, its tokens
    // return to their events. Each iteration of the event loop handles only a limited number of
    // the tokens of this process.
    void end(ProcessWatcher::Id process);

private:
    using HoldMap = std::map<Token, Hold>;

    void persist(const Token& id, Hold& hold);
    TakenTokens extract(HoldMap::iterator hold);

    EventLoop& loop_;
    Quota& quota_;
    TokenLog& tokens_;
    HoldMap holds_;
    std::set<std::pair<ProcessWatcher::Id, Token>> by_process_;
};

} // namespace evfd::daemon
