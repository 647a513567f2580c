// A Set of many tokens, done in slices so that other connections are served in between. The reply
// cache records the progress with each slice. A client that resumes its session after a crash
// therefore has the whole Set done, and done once. An event that was deleted meanwhile, or that the
// client may not set any more after the crash, gets no more tokens; the Set still succeeds.
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
    // An increment whose object is null gets no more tokens.
    PendingSet(EventLoop& loop, Registry& registry, Delivery& delivery, Counters& counters,
               const Caller& caller, const Increments& increments);

    Progress advance(OutputQueue& output) override;
    bool must_finish() const override { return true; }

private:
    struct Target {
        ObjectRef object;
        std::int64_t tokens; // The number of tokens that the object gets in all.
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
    std::int64_t tokens_ = 0; // The largest number of tokens of one increment.
    // The number of tokens that each target has got so far. A target that gets fewer tokens in all
    // is complete.
    std::int64_t applied_ = 0;
    // The part of applied_ that an earlier daemon added. This daemon does not report the pulses of
    // that part.
    std::int64_t applied_before_ = 0;
    BatchSizer batch_sizer_; // Decides how many increments fit into a time slice.
};

// Returns the text of the reply to a successful Set.
std::string_view set_reply();

} // namespace evfd::daemon
