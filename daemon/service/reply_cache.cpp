#include "daemon/service/reply_cache.h"

#include <utility>

namespace evfd::daemon {

namespace {

// Repeats the reply to a call that was done before. If the reply reaches the client this time, the
// tokens that the call took are consumed. If the reply does not reach the client, the tokens are
// returned to their events.
class PendingReplay : public PendingReply {
public:
    PendingReplay(Registry& registry, Session& session) : registry_{registry}, session_{session} {}

    Progress advance(OutputQueue& output) override
    {
        output.append_text(session_.slot.cached_reply);
        return Progress::done;
    }
    void on_sent() override
    {
        for (const auto& taken : std::exchange(session_.in_doubt, {}))
            registry_.tokens.confirm_taken(taken);
    }
    void on_dropped() override
    {
        registry_.tokens.return_tokens(std::exchange(session_.in_doubt, {}));
    }

private:
    Registry& registry_;
    Session& session_;
};

} // namespace

void ReplyCache::start(const Token& token)
{
    session_->token = token;
    persist();
}

bool ReplyCache::can_resume(std::int64_t acknowledged, bool history_is_complete) const
{
    const auto ahead = slot().sequence - acknowledged;
    // `ahead` is negative if the client has replies to calls that the daemon has no record of.
    // Either the calls were idempotent, so the daemon did not record them, or the recovery lost
    // their records. The client can continue the session only if no record was lost.
    return ahead <= 1 && (ahead >= 0 || history_is_complete);
}

void ReplyCache::resume(std::int64_t acknowledged)
{
    std::erase_if(session_->in_doubt, [&](const TakenTokens& taken) {
        const bool is_acknowledged = taken.sequence <= acknowledged;
        if (is_acknowledged)
            registry_->tokens.confirm_taken(taken);
        return is_acknowledged;
    });
    if (slot().sequence == acknowledged)
        return; // The client has the last reply.
    if (slot().sequence < acknowledged) {
        // The daemon did not record the last calls, so it continues with the client's number.
        slot() = {.sequence = acknowledged};
    } else if (!slot().cached_reply.empty()) {
        slot().next_is_replay = true;
    } else { // The reply had descriptors, which the client did not receive: undo the call.
        registry_->opening.undo(*session_);
        --slot().sequence;
    }
}

std::unique_ptr<PendingReply> ReplyCache::begin(Recorded recorded)
{
    slot().recorded = session_->is_resumable() ? recorded : Recorded::nothing;
    slot().is_committed = false;
    if (!is_counted())
        return {};
    if (std::exchange(slot().next_is_replay, false)) {
        slot().recorded = Recorded::nothing;
        return std::make_unique<PendingReplay>(*registry_, *session_);
    }
    session_->opened.clear();
    return {};
}

CallId ReplyCache::call() const
{
    return {session_->id, is_counted() ? slot().sequence + 1 : 0};
}

void ReplyCache::commit(std::string_view reply)
{
    if (is_counted())
        record_reply(reply);
}

void ReplyCache::progress(std::int64_t tokens)
{
    if (!is_counted())
        return;
    if (std::exchange(slot().is_committed, false))
        --slot().sequence;
    slot().tokens_applied = tokens;
    persist();
}

void ReplyCache::finish(std::string_view reply)
{
    if (!is_counted())
        return;
    if (slot().recorded == Recorded::subscriptions && session_->opened.empty())
        count_unrecorded();
    else if (!slot().is_committed || slot().cached_reply != reply)
        record_reply(reply);
    slot().recorded = Recorded::nothing;
}

void ReplyCache::finish_refused(std::string_view reply)
{
    if (!is_counted() || !registry_->state_store.fault())
        return finish(reply);
    count_unrecorded();
    slot().recorded = Recorded::nothing;
}

void ReplyCache::record_reply(std::string_view reply)
{
    if (!std::exchange(slot().is_committed, true))
        ++slot().sequence;
    slot().tokens_applied = 0;
    slot().cached_reply = reply;
    persist();
}

// Counts the call in memory only. The stored record keeps the sequence number of an earlier call.
// The next record of the session will have a sequence number that includes this call.
void ReplyCache::count_unrecorded()
{
    // The stored record says that a Set of this session is unfinished. This is no longer true, so a
    // new record must replace the stored one.
    if (slot().tokens_applied > 0)
        return record_reply({});
    ++slot().sequence;
    slot().cached_reply.clear();
}

void ReplyCache::persist()
{
    record::Session record{.token = std::string{session_->token->text()},
                           .uid = session_->peer.uid,
                           .sequence = slot().sequence,
                           .cached_reply = slot().cached_reply,
                           .new_subscriptions = {},
                           .tokens_applied = {}};
    if (slot().tokens_applied > 0)
        record.tokens_applied = slot().tokens_applied;
    for (const auto id : session_->opened)
        record.new_subscriptions.push_back(static_cast<record::Id>(id));
    registry_->state_store.put(session_->id, std::move(record));
}

} // namespace evfd::daemon
