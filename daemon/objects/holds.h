// What waits took to hold: lent to processes, or to a session, and back once, when the last of
// these has ended or one of them gives it back.
#pragma once

#include "daemon/base/event_loop.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
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
struct Lending {
    Token hold;
    std::optional<Processes::Stay> process = {}; // None: to its session.
};

// The same, as the vault has it.
struct Lent {
    Token hold;
    uid_t uid; // Of those who may join.
    bool is_by_session;
    std::vector<Processes::Id> processes;
};

class Holds {
public:
    struct Hold {
        uid_t uid; // Of those who may join.
        Takings takings;
        Quota::Charge charge;
        std::uint64_t session = 0; // A holder, if it is not 0.
        std::vector<Processes::Stay> processes = {};
    };

    Holds(EventLoop& loop, Quota& quota, Registry& registry)
        : loop_{loop}, quota_{quota}, registry_{registry}
    {
    }
    Holds(const Holds&) = delete;
    Holds& operator=(const Holds&) = delete;

    // That a wait took these and lends them is certain once it is committed.
    // `session`: that which waited.
    void keep_taken(std::uint64_t session, uid_t uid, const Lending& lending, Takings& takings);
    // The one who waited has heard of it: from now on it is a hold.
    void begin(Session& session, Lending lending, Takings takings, Quota::Charge charge);
    void restore(const Token& id, Hold hold);

    bool is_there(const Token& id, uid_t uid) const;              // For those of that user.
    Outcome<void> join(const Token& id, Processes::Stay process); // One that is there.
    bool is_holder(const Token& id, const Session& session,
                   std::optional<Processes::Id> process) const;
    void release(const Token& id); // One that is there.

    // How many tokens the session holds.
    std::int64_t tokens_of(Session& session) const;
    // It ends: what nobody holds any more, which is to be put back.
    std::vector<Takings> end(Session& session);
    // It ended: what nobody holds any more is put back, so much in each turn of the loop.
    void end(Processes::Id process);

private:
    using All = std::map<Token, Hold>;

    void add(const Token& id, Hold hold);
    void keep(const Token& id, Hold& hold);
    Takings extract(All::iterator hold);

    EventLoop& loop_;
    Quota& quota_;
    Registry& registry_;
    All all_;
    std::set<std::pair<Processes::Id, Token>> by_process_;
};

} // namespace evfd::daemon
