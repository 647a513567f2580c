#include "daemon/service/sessions.h"

#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/service/reply_cache.h"

#include <utility>

namespace evfd::daemon {

void Sessions::adopt_orphans(EventLoop& loop, std::vector<Session> orphans, nanoseconds grace,
                             bool history_is_complete)
{
    history_is_complete_ = history_is_complete;
    for (auto& session : orphans) {
        const auto token = *session.token;
        orphans_.emplace(token, std::move(session));
    }
    if (orphans_.empty())
        return;
    grace_timeout_.emplace(loop.add_timeout(monotonic_deadline(grace), [this, &loop] {
        log::info({}, "ending {} sessions that no client resumed", orphans_.size());
        // A client can present the token of an ended session later. The daemon no longer knows what
        // that session did, so it must not assume that the session did nothing.
        history_is_complete_ = orphans_.empty();
        are_orphans_ending_ = true;
        end_orphans(loop);
    }));
}

void Sessions::end_orphans(EventLoop& loop)
{
    for (int i = 0; i < max_orphans_ended_per_iteration && !orphans_.empty(); ++i) {
        auto orphan = orphans_.extract(orphans_.begin());
        end_objects_and_holds(orphan.mapped());
    }
    if (!orphans_.empty())
        return loop.defer([this, &loop] { end_orphans(loop); });
    if (on_orphans_ended_)
        on_orphans_ended_();
}

Outcome<bool> Sessions::resume(Session& session, const protocol::Resume& request)
{
    const auto token = Token::parse(request.session);
    const bool has_begun = session.is_resumable() || registry_.lifetimes.has_owned(session) ||
                           !session.subscriptions.empty() || !session.held.empty() ||
                           session.holds_requested > 0;
    if (!token || has_begun)
        return std::unexpected(protocol::InvalidParameter{"session"});
    if (request.sequence < 0 || request.sequence > max_sequence)
        return std::unexpected(protocol::InvalidParameter{"sequence"});
    const auto found = orphans_.find(*token);
    const bool is_orphan = found != orphans_.end() && found->second.peer.uid == session.peer.uid;
    if (in_use_.contains(*token) || (!is_orphan && request.sequence > 0) ||
        (found != orphans_.end() && (!is_orphan || are_orphans_ending_)))
        return std::unexpected(refuse::no_such_session());
    ReplyCache reply_cache{registry_, session};
    if (is_orphan) {
        auto& orphan = found->second;
        if (!ReplyCache{registry_, orphan}.can_resume(request.sequence, history_is_complete_))
            return std::unexpected(refuse::no_such_session());
        orphan.peer = session.peer;
        session = std::move(orphan);
        orphans_.erase(found);
        reply_cache.resume(request.sequence);
    } else {
        reply_cache.start(*token);
    }
    in_use_.insert(*token);
    return is_orphan || history_is_complete_;
}

void Sessions::end_objects_and_holds(Session& session)
{
    if (registry_.lifetimes.has_owned(session))
        delivery_.delete_owned(session.id);
    registry_.end(session);
    delivery_.apply();
}

void Sessions::end(Session& session)
{
    end_objects_and_holds(session);
    if (session.is_resumable())
        in_use_.erase(*session.token);
}

} // namespace evfd::daemon
