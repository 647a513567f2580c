// ReplyCache: ensures that each call of a session is executed once, even across crashes of the
// daemon.
//
// A resumable session stores the sequence number of its last call and the reply to that call. The
// daemon records the number and the reply in one commit with the effect of the call. A client that
// reconnects repeats the call whose reply it did not receive, and gets the recorded reply. A call
// takes these steps:
//
// - begin() returns the recorded reply if the call was done before. If the call is new, begin()
//   marks it as in progress.
// - commit() records the reply before the call takes effect. It is for calls whose effect can be
//   committed before finish() is called. After commit(), the call is certain to be done.
// - progress() records how many tokens an unfinished call has added. If the client repeats the call
//   after a crash, the call continues from this number, and is not refused.
// - finish() records the reply, unless commit() has recorded a reply with the same text.
//
// The daemon records nothing about some calls (Recorded::nothing). These functions do nothing for
// such a call, so a handler can use them for every call. Recovery creates Session::slot. Apart from
// that, only this class changes the slot, and only this class writes the record of the session.
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

// Refers to a session, which must outlive this object. All of the state is in Session::slot.
class ReplyCache {
public:
    using Recorded = Session::Slot::Recorded;

    ReplyCache(Registry& registry, Session& session) : registry_{&registry}, session_{&session} {}

    // Makes the session resumable: a client can continue it by presenting `token`.
    void start(const Token& token);
    // Returns whether a client that has the replies to `acknowledged` calls can continue the
    // session. `history_is_complete` is true if the recovery lost no record.
    bool can_resume(std::int64_t acknowledged, bool history_is_complete) const;
    // Continues the session for a client that has the replies to `acknowledged` calls. If the
    // client lacks the last reply, its next call repeats the last call.
    void resume(std::int64_t acknowledged);

    // Begins a call. Returns the recorded reply if the call was done before, else null.
    std::unique_ptr<PendingReply> begin(Recorded recorded);
    // Returns the identity of the call in progress.
    CallId call() const;
    // Records the reply to the call in progress. Must be called before the call takes effect.
    void commit(std::string_view reply);
    template <Message Reply>
    void commit(Reply reply)
    {
        if (is_counted())
            commit(std::string_view{text_of(std::move(reply))});
    }
    // Records how many tokens the call has added so far. If commit() has recorded the reply
    // already, but the last tokens could not be added, progress() withdraws the recorded reply.
    void progress(std::int64_t tokens);
    // Returns how many tokens the call has added so far. The number includes the tokens that an
    // earlier daemon added before a crash.
    std::int64_t progress() const { return is_counted() ? slot().tokens_applied : 0; }
    // Returns whether the call has added tokens, in this daemon or in an earlier one. A call that
    // has added tokens can no longer be refused.
    bool has_begun() const { return progress() > 0; }
    // Ends the call and records its reply. `reply` is empty if the reply cannot be sent again,
    // because it carried descriptors.
    void finish(std::string_view reply);
    // Ends a call that failed and changed nothing. If the state store cannot record the reply, the
    // call is only counted in memory. If the client repeats the call after a crash, executing it
    // again does no harm.
    void finish_refused(std::string_view reply);

private:
    bool is_counted() const { return slot().recorded != Recorded::nothing; }
    void record_reply(std::string_view reply);
    void count_unrecorded();
    void persist();
    Session::Slot& slot() const { return session_->slot; }

    Registry* registry_;
    Session* session_;
};

} // namespace evfd::daemon
