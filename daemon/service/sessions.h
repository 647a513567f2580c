// The sessions that clients can resume.
//
// A client names its session by a random token (Resume). The daemon records the session, and with
// each call its sequence number and the reply (ReplyCache). After a crash, recovery returns the
// recorded sessions, and adopt_orphans() keeps them for a grace period. A client that reconnects
// sends its token and the number of replies it has received. resume() compares this number with the
// recorded sequence number:
// - the numbers are equal: the client has the last reply;
// - the daemon's number is greater by one: the client will repeat its last call and get the
//   recorded reply. If that reply carried descriptors, the call is undone and done again instead;
// - the daemon's number is smaller: the last calls were idempotent, so the daemon did not record
//   them. The daemon accepts this only if the recovery was complete.
//
// The daemon refuses any other number as an unknown session. An orphan that no client resumes in
// time ends in the same way as a session whose connection ends.
//
// Invariants: a token is in use by at most one connection, and an orphan can be resumed only by the
// user that it belongs to. A session is recorded before any object, subscription or hold that
// belongs to it.
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

    // Keeps `orphans`, the sessions of an earlier daemon. An orphan ends if no client resumes it
    // within `grace`. `history_is_complete` is true if the recovery lost no record. In that case,
    // a session that had not ended and is missing from `orphans` has changed nothing.
    void adopt_orphans(EventLoop& loop, std::vector<Session> orphans, nanoseconds grace,
                       bool history_is_complete);
    // Sets the function that is called when the grace period is over and the orphans that no client
    // resumed have ended.
    void on_orphans_ended(std::function<void()> task) { on_orphans_ended_ = std::move(task); }
    std::size_t orphan_count() const { return orphans_.size(); }

    // Makes `session` resumable by the session token of the request. If an orphan has this token,
    // `session` takes over the state of the orphan. Returns whether the daemon knows everything
    // that the session did before.
    Outcome<bool> resume(Session& session, const protocol::Resume& request);
    // Ends the session, because its connection has ended.
    void end(Session& session);

private:
    // Ends some of the orphans now and the others in later iterations of the loop.
    void end_orphans(EventLoop& loop);
    void end_objects_and_holds(Session& session);

    Registry& registry_;
    Delivery& delivery_;
    bool history_is_complete_ = false;
    std::set<Token> in_use_;
    std::map<Token, Session> orphans_;
    bool are_orphans_ending_ = false; // The grace period is over: no orphan can be resumed.
    std::optional<EventLoop::Timeout> grace_timeout_;
    std::function<void()> on_orphans_ended_;
};

} // namespace evfd::daemon
