// The sessions that clients can resume.
//
// A client names its session by a random token (Resume). The daemon records the session, and with
// each call its sequence number and the reply (ReplyCache). After a crash, recovery returns the
// recorded sessions, and adopt_orphans() keeps them for a grace period. A client that reconnects
// sends its token and the number of replies it has received. resume() compares that with the
// recorded sequence number:
// - equal: the client has the last reply;
// - ours is greater by one: the client will repeat its last call and get the recorded reply, or,
//   if that reply carried descriptors, the call is undone and done again;
// - ours is smaller: the last calls were idempotent and not recorded. This is accepted only if
//   recovery was complete.
//
// Anything else is refused as an unknown session. An orphan that no client resumes in time ends in
// the same way as a session whose connection ends.
//
// Invariants: a token is in use by at most one connection, and an orphan can be resumed only by the
// user that it belongs to. The session is recorded before anything that belongs to it.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/registry.h"
#include "daemon/objects/session.h"
#include "daemon/waiting/delivery.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace evfd::daemon {

class Sessions {
public:
    Sessions(Registry& registry, Delivery& delivery) : registry_{registry}, delivery_{delivery} {}
    Sessions(const Sessions&) = delete;
    Sessions& operator=(const Sessions&) = delete;

    // Keeps the orphans of an earlier daemon. An orphan ends if no client resumes it within
    // `grace`. `history_is_complete`: a session that is not among them did nothing before.
    void adopt_orphans(EventLoop& loop, std::vector<Session> orphans, nanoseconds grace,
                       bool history_is_complete);
    // Calls `task` when the orphans that were not resumed have ended.
    void on_orphans_ended(std::function<void()> task) { on_orphans_ended_ = std::move(task); }
    std::size_t orphan_count() const { return orphans_.size(); }

    // Gives the token, and the orphan of that token, to the connection's session. Returns whether
    // it is certain what the session did before.
    Outcome<bool> resume(Session& session, const protocol::Resume& request);
    // Ends the session, because its connection has ended.
    void end(Session& session);

private:
    void end_objects_and_holds(Session& session);

    Registry& registry_;
    Delivery& delivery_;
    bool history_is_complete_ = false;
    std::set<Token> in_use_;
    std::map<Token, Session> orphans_;
    std::optional<EventLoop::Timeout> grace_timeout_;
    std::function<void()> on_orphans_ended_;
};

} // namespace evfd::daemon
