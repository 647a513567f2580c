// The sessions that their clients can take up again: which are in use, and which an earlier daemon
// left, until their clients come or it is too late.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/registry.h"
#include "daemon/objects/session.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace evfd::daemon {

class Sessions {
public:
    explicit Sessions(Registry& registry) : registry_{registry} {}
    Sessions(const Sessions&) = delete;
    Sessions& operator=(const Sessions&) = delete;

    // Those that were left; whom nobody takes up within `grace` end. `history_is_complete`: who is
    // not among them did nothing before.
    void adopt_orphans(EventLoop& loop, std::vector<Session> orphans, nanoseconds grace,
                       bool history_is_complete);
    // Calls `task` once those that nobody took up ended.
    void on_orphans_ended(std::function<void()> task) { on_orphans_ended_ = std::move(task); }
    std::size_t orphan_count() const { return orphans_.size(); }

    // The connection's session gets the token, and all that was left for it. Whether it is certain
    // what was done in it before.
    Outcome<bool> resume(Session& session, const protocol::Resume& request);
    // The connection is gone.
    void end(Session& session);

private:
    void begin(Session& session, const Token& token);
    void resume_from(Session& session, Session orphan, std::int64_t acknowledged);

    Registry& registry_;
    bool history_is_complete_ = false;
    std::set<Token> in_use_;
    std::map<Token, Session> orphans_;
    std::optional<EventLoop::Timeout> grace_timeout_;
    std::function<void()> on_orphans_ended_;
};

} // namespace evfd::daemon
