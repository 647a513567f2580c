// What waits took to hold: lent to processes, or to a session, and back once, when the last of
// these has ended or one of them gives it back.
#pragma once

#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace evfd::daemon {

class Registry;

// To whom a wait lends what it takes, and what the hold is called.
struct HoldRequest {
    Token hold;
    std::optional<ProcessWatcher::Ref> process = {}; // None: to its session.
};

// The same, as the vault has it.
struct HoldRecord {
    Token hold;
    uid_t uid; // Of those who may join.
    bool is_held_by_session;
    std::vector<ProcessWatcher::Id> processes;
};

class Holds {
public:
    struct Hold {
        uid_t uid; // Of those who may join.
        TakenTokens taken;
        Quota::Charge charge;
        std::uint64_t session = 0; // A holder, if it is not 0.
        std::vector<ProcessWatcher::Ref> processes = {};
    };

    Holds(EventLoop& loop, Quota& quota, Registry& registry)
        : loop_{loop}, quota_{quota}, registry_{registry}
    {
    }
    Holds(const Holds&) = delete;
    Holds& operator=(const Holds&) = delete;

    // That a wait took these and lends them is certain once it is committed.
    // `session`: that which waited.
    void record_taken(std::uint64_t session, uid_t uid, const HoldRequest& request,
                      TakenTokens& taken);
    // The one who waited has heard of it: from now on it is a hold.
    void begin(Session& session, HoldRequest request, TakenTokens taken, Quota::Charge charge);
    void restore(const Token& id, Hold hold);

    bool exists(const Token& id, uid_t uid) const;                    // For those of that user.
    Outcome<void> join(const Token& id, ProcessWatcher::Ref process); // One that is there.
    bool is_holder(const Token& id, const Session& session,
                   std::optional<ProcessWatcher::Id> process) const;
    void release(const Token& id); // One that is there.

    // How many tokens the session holds.
    std::int64_t count_tokens(Session& session) const;
    // It ends: what nobody holds any more, which is to be put back.
    std::vector<TakenTokens> end(Session& session);
    // It ended: what nobody holds any more is put back, so much in each turn of the loop.
    void end(ProcessWatcher::Id process);

private:
    using HoldMap = std::map<Token, Hold>;

    void add(const Token& id, Hold hold);
    void persist(const Token& id, Hold& hold);
    TakenTokens extract(HoldMap::iterator hold);

    EventLoop& loop_;
    Quota& quota_;
    Registry& registry_;
    HoldMap holds_;
    std::set<std::pair<ProcessWatcher::Id, Token>> by_process_;
};

} // namespace evfd::daemon
