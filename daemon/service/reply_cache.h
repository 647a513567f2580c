// The reply cache of a session: it executes each call once, even across crashes of the daemon.
//
// A resumable session has the sequence number of its last call and the reply to it. The daemon
// records both in one commit with the effect of the call. A client that reconnects repeats the call
// whose reply it did not receive, and gets the recorded reply. A call takes these steps:
//
// - begin() returns the recorded reply if the call was done before. Otherwise the call is in
//   progress.
// - commit() records the reply before an effect that can be committed on its own. From then on the
//   call is certain to be done.
// - progress() records how far an unfinished call is. A call that is repeated after a crash
//   continues from there, and is not refused.
// - finish() records the reply, unless commit() recorded the same one.
//
// For calls that the session does not count these functions do nothing, so no caller has to
// distinguish them. Only this class changes the session's slot, and only this class writes its
// record.
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

// Refers to a session, which must exist longer. All of the state is in the session's slot.
class ReplyCache {
public:
    using Recorded = Session::Slot::Recorded;

    ReplyCache(Registry& registry, Session& session) : registry_{&registry}, session_{&session} {}

    // Makes the session resumable by the token.
    void start(const Token& token);
    // Returns whether a client that has the replies to `acknowledged` calls can continue the
    // session. `history_is_complete`: no record was lost.
    bool can_resume(std::int64_t acknowledged, bool history_is_complete) const;
    // Continues the session for that client. The next call is a repeated one if a reply is missing.
    void resume(std::int64_t acknowledged);

    // Begins a call. Returns its reply if it was done before, else null.
    std::unique_ptr<PendingReply> begin(Recorded recorded);
    // Identifies the call in progress.
    CallId call() const;
    void commit(std::string_view reply);
    template <Message Reply>
    void commit(Reply reply)
    {
        if (is_counted())
            commit(std::string_view{text_of(std::move(reply))});
    }
    // Records how many tokens the call has added. This also takes back a commit() whose effect
    // could not begin.
    void progress(std::int64_t tokens);
    // Returns how many tokens the call has added so far; after a crash, what the earlier daemon
    // added.
    std::int64_t progress() const { return is_counted() ? slot().tokens_applied : 0; }
    // Returns whether the call is one that an earlier daemon began. It is too late to refuse it.
    bool has_begun() const { return progress() > 0; }
    // Ends the call. An empty reply cannot be repeated.
    void finish(std::string_view reply);
    // The same for a call that failed and changed nothing: it may be done again.
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
