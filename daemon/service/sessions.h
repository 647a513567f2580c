// The sessions that their clients can take up again: which are in use, and which an earlier daemon
// left, until their clients come or it is too late.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/access/refusal.h"
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

    // Those that were left; whom nobody takes up within `grace` end. `knows_all`: who is not among
    // them did nothing before.
    void wait_for(EventLoop& loop, std::vector<Session> left, nanoseconds grace, bool knows_all);
    // Calls `task` once those that nobody took up ended.
    void when_ended(std::function<void()> task) { on_ended_ = std::move(task); }
    std::size_t waited_for() const { return left_.size(); }

    // The connection's session gets the token, and all that was left for it. Whether it is certain
    // what was done in it before.
    Outcome<bool> resume(Session& session, const protocol::Resume& request);
    // The connection is gone.
    void end(Session& session);

private:
    void begin(Session& session, const Token& token);
    void take_up(Session& session, Session left, std::int64_t calls);

    Registry& registry_;
    bool knows_all_ = false;
    std::set<Token> in_use_;
    std::map<Token, Session> left_;
    std::optional<EventLoop::Alarm> alarm_;
    std::function<void()> on_ended_;
};

} // namespace evfd::daemon
