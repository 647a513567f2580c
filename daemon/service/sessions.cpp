#include "daemon/service/sessions.h"

#include "common/limits.h"
#include "daemon/base/log.h"

#include <utility>

namespace evfd::daemon {

void Sessions::adopt_orphans(EventLoop& loop, std::vector<Session> orphans, nanoseconds grace,
                             bool history_is_complete)
{
    history_is_complete_ = history_is_complete;
    for (auto& session : orphans) {
        const auto token = session.reply_cache->token;
        orphans_.emplace(token, std::move(session));
    }
    if (orphans_.empty())
        return;
    grace_timeout_.emplace(loop.add_timeout(monotonic_deadline(grace), [this] {
        log::info({}, "ending {} sessions that no client resumed", orphans_.size());
        // The history of a session that ended is not known any more.
        history_is_complete_ = orphans_.empty();
        for (auto& [token, session] : std::exchange(orphans_, {}))
            registry_.end(session);
        if (on_orphans_ended_)
            on_orphans_ended_();
    }));
}

Outcome<bool> Sessions::resume(Session& session, const protocol::Resume& request)
{
    const auto token = Token::parse(request.session);
    const bool has_begun = session.reply_cache || !session.owned.empty() ||
                           !session.subscriptions.empty() || !session.held.empty();
    if (!token || has_begun)
        return std::unexpected(protocol::InvalidParameter{"session"});
    if (request.sequence < 0 || request.sequence > max_sequence)
        return std::unexpected(protocol::InvalidParameter{"sequence"});
    const auto found = orphans_.find(*token);
    const bool is_orphan = found != orphans_.end() && found->second.peer.uid == session.peer.uid;
    if (in_use_.contains(*token) || (!is_orphan && request.sequence > 0) ||
        (found != orphans_.end() && !is_orphan))
        return std::unexpected(refuse::no_such_session());
    if (is_orphan) {
        const auto ahead = found->second.reply_cache->sequence - request.sequence;
        // Our number is smaller if the last calls were idempotent, or if not all records were
        // recovered.
        if (ahead > 1 || (ahead < 0 && !history_is_complete_))
            return std::unexpected(refuse::no_such_session());
    }
    if (is_orphan)
        resume_from(session, std::move(orphans_.extract(found).mapped()), request.sequence);
    else
        begin(session, *token);
    in_use_.insert(*token);
    return is_orphan || history_is_complete_;
}

// Recorded before anything that belongs to the session.
void Sessions::begin(Session& session, const Token& token)
{
    session.reply_cache = Session::ReplyCache{.token = token};
    registry_.persist_session(session);
}

void Sessions::resume_from(Session& session, Session orphan, std::int64_t acknowledged)
{
    orphan.peer = session.peer;
    session = std::move(orphan);
    auto& cache = *session.reply_cache;
    std::erase_if(cache.in_doubt, [&](const TakenTokens& taken) {
        const bool is_acknowledged = taken.sequence <= acknowledged;
        if (is_acknowledged)
            registry_.confirm_taken(taken);
        return is_acknowledged;
    });
    if (cache.sequence == acknowledged)
        return;                          // The client has the last reply.
    if (cache.sequence < acknowledged) { // The client also has replies to calls that left no trace.
        cache.sequence = acknowledged;
        cache.cached_reply.clear();
        cache.tokens_applied = 0;
        return;
    }
    if (!cache.cached_reply.empty()) {
        cache.next_is_replay = true;
    } else { // The descriptors that the call sent never arrived.
        registry_.undo_open(session);
        --cache.sequence;
    }
}

void Sessions::end(Session& session)
{
    registry_.end(session);
    if (session.reply_cache)
        in_use_.erase(session.reply_cache->token);
}

} // namespace evfd::daemon
