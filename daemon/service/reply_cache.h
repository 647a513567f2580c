// ReplyCache: ensures that each call of a session is executed once, even across crashes of the
// daemon.
//
// A resumable session stores the sequence number of its last call and the reply to that call. The
// daemon records the number and the reply in one commit with the effect of the call. A client that
// reconnects repeats the call whose reply it did not receive, and gets the recorded reply. A call
// takes these steps:
//
// - begin() returns the recorded reply if the call was done before. A new call is in progress from
//   then on.
// - commit() records the reply before an effect that can be committed on its own. From then on the
//   call is certain to be done.
// - progress() records how far an unfinished call is. A call that is repeated after a crash
//   continues from there, and is not refused.
// - finish() records the reply, unless commit() has recorded the same reply.
//
// These functions do nothing for a call that the session does not count, so a handler can use them
// for every call. Only this class changes the session's slot, and only this class writes the record
// of the session.
//
// Invariants: a session has at most one call in progress. The record of the session exists before
// anything that belongs to the session.
#pragma once

#include "daemon/objects/registry.h"
#include "daemon/objects/session.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace evfd::daemon {

// Refers to a session, which must outlive this object. All of the state is in the session's slot.
class ReplyCache {
public:
    using Recorded = Session::Slot::Recorded;

    ReplyCache(Registry& registry, Session& session) : registry_{&registry}, session_{&session} {}

    // Makes the session resumable by the token.
    void start(const Token& token);
    // Returns whether a client that has the replies to `acknowledged` calls can continue the
    // session. `history_is_complete`: no record was lost.
    bool can_resume(std::int64_t acknowledged, bool history_is_complete) const;
    // Continues the session for a client that has the replies to `acknowledged` calls. If the
    // client lacks the last reply, its next call repeats the last call.
    void resume(std::int64_t acknowledged);

    // Begins a call. Returns the recorded reply if the call was done before, else null.
    std::unique_ptr<PendingReply> begin(Recorded recorded);
    // Returns the identity of the call in progress.
    CallId call() const;
    // Records the reply to the call in progress, before its effect.
    void commit(std::string_view reply);
    template <Message Reply>
    void commit(Reply reply)
    {
        if (is_counted())
            commit(std::string_view{text_of(std::move(reply))});
    }
    // Records how many tokens the call has added so far. Also undoes a commit() of this call whose
    // effect could not begin.
    void progress(std::int64_t tokens);
    // Returns how many tokens the call has added so far. After a crash, this is the number that the
    // earlier daemon added.
    std::int64_t progress() const { return is_counted() ? slot().tokens_applied : 0; }
    // Returns whether the call has added tokens already, perhaps in an earlier daemon. If it has,
    // it is too late to refuse the call.
    bool has_begun() const { return progress() > 0; }
    // Ends the call with its reply. An empty `reply` stands for one that cannot be sent again.
    void finish(std::string_view reply);
    // Ends a call that failed and changed nothing. While nothing can be recorded, the call is only
    // counted, because executing it again does no harm.
    void finish_refused(std::string_view reply);

private:
    bool is_counted() const { return slot().recorded != Recorded::nothing; }
    std::unique_ptr<PendingReply> replay();
    void record_reply(std::string_view reply);
    void count_unrecorded();
    void persist();
    Session::Slot& slot() const { return session_->slot; }

    Registry* registry_;
    Session* session_;
};

} // namespace evfd::daemon
