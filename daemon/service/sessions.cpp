#include "daemon/service/sessions.h"

#include "common/limits.h"
#include "daemon/base/log.h"

#include <utility>

namespace evfd::daemon {

void Sessions::wait_for(EventLoop& loop, std::vector<Session> left, nanoseconds grace,
                        bool knows_all)
{
    knows_all_ = knows_all;
    for (auto& session : left) {
        const auto token = session.count->token;
        left_.emplace(token, std::move(session));
    }
    if (left_.empty())
        return;
    alarm_.emplace(loop.alarm(monotonic_after(grace), [this] {
        log::info("{} sessions were not taken up again: they end", left_.size());
        knows_all_ = left_.empty(); // What was done in one that ended nobody knows any more.
        for (auto& [token, session] : std::exchange(left_, {}))
            registry_.end(session);
        if (on_ended_)
            on_ended_();
    }));
}

Outcome<bool> Sessions::resume(Session& session, const protocol::Resume& request)
{
    const auto token = Token::parse(request.session);
    const bool has_begun = session.count || !session.owned.empty() || !session.followings.empty() ||
                           !session.held.empty();
    if (!token || has_begun)
        return std::unexpected(protocol::InvalidParameter{"session"});
    if (request.calls < 0 || request.calls > max_counted_calls)
        return std::unexpected(protocol::InvalidParameter{"calls"});
    const auto found = left_.find(*token);
    const bool is_there = found != left_.end() && found->second.peer.uid == session.peer.uid;
    if (in_use_.contains(*token) || (!is_there && request.calls > 0) ||
        (found != left_.end() && !is_there))
        return std::unexpected(refuse::no_such_session());
    if (is_there) {
        const auto ahead = found->second.count->calls - request.calls;
        // Ours is behind if the last ones left nothing; or if what we have is not all there was.
        if (ahead > 1 || (ahead < 0 && !knows_all_))
            return std::unexpected(refuse::no_such_session());
    }
    if (is_there)
        take_up(session, std::move(left_.extract(found).mapped()), request.calls);
    else
        begin(session, *token);
    in_use_.insert(*token);
    return is_there || knows_all_;
}

// It is kept before anything is that belongs to it.
void Sessions::begin(Session& session, const Token& token)
{
    session.count = Session::Count{.token = token};
    registry_.keep_session(session);
}

void Sessions::take_up(Session& session, Session left, std::int64_t calls)
{
    left.peer = session.peer;
    session = std::move(left);
    auto& count = *session.count;
    std::erase_if(count.in_doubt, [&](const Takings& takings) {
        const bool has_heard = takings.call <= calls;
        if (has_heard)
            registry_.settle(takings);
        return has_heard;
    });
    if (count.calls == calls)
        return;                // It heard of the last one.
    if (count.calls < calls) { // And of some that left nothing.
        count.calls = calls;
        count.reply.clear();
        count.given = 0;
        return;
    }
    if (!count.reply.empty()) {
        count.replays = true;
    } else { // What that call handed over never arrived.
        registry_.undo_opening(session);
        --count.calls;
    }
}

void Sessions::end(Session& session)
{
    registry_.end(session);
    if (session.count)
        in_use_.erase(session.count->token);
}

} // namespace evfd::daemon
