// PendingSet: a Set call in progress that adds many tokens. It adds the tokens in time slices, so
// that other connections are served between two slices. The reply cache records the progress with
// each slice. If a client resumes its session after a crash, the rest of the Set is therefore done,
// and no token is added twice. Two kinds of events get no more tokens: a deleted event, and an
// event that the client is not allowed to set when the client repeats the Set after the crash. The
// Set succeeds nevertheless.
#pragma once

#include "daemon/base/event_loop.h"
#include "daemon/objects/batch_sizer.h"
#include "daemon/objects/registry.h"
#include "daemon/service/caller.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/reply_cache.h"
#include "daemon/waiting/delivery.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace evfd::daemon {

class PendingSet : public PendingReply {
public:
    // An increment whose object is null adds no tokens.
    PendingSet(EventLoop& loop, Registry& registry, Delivery& delivery, Counters& counters,
               const Caller& caller, const Increments& increments);

    Progress advance(OutputQueue& output) override;
    bool must_finish() const override { return true; }

private:
    struct Target {
        ObjectRef object;
        std::int64_t tokens; // The total number of tokens that this Set adds to the object.
    };

    Object* find_incomplete(const Target& target) const;
    std::int64_t increments_per_token() const;
    std::int64_t tokens_per_slice(std::int64_t each) const;
    Increments next_increments(std::int64_t tokens) const;
    Outcome<void> apply_batch(const Increments& increments, std::int64_t tokens, std::int64_t each);
    Progress finish(Outcome<void> done, OutputQueue& output);

    EventLoop& loop_;
    Registry& registry_;
    Delivery& delivery_;
    Counters& counters_;
    const Session& session_;
    ReplyCache reply_cache_;
    std::function<void()> wake_;
    std::optional<EventLoop::Timeout> retry_;
    std::vector<Target> targets_;
    std::int64_t tokens_ = 0; // The largest number of tokens that this Set adds to one object.
    // The number of tokens that each target has got so far. A target whose `tokens` does not exceed
    // this number has got all of its tokens.
    std::int64_t applied_ = 0;
    // The number of tokens in applied_ that an earlier daemon added. This daemon does not report
    // the pulses that the earlier daemon made.
    std::int64_t applied_before_ = 0;
    BatchSizer batch_sizer_; // Decides how many increments fit into a time slice.
};

// Returns the text of the reply to a successful Set.
std::string_view set_reply();

} // namespace evfd::daemon
