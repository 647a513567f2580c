// The pending replies that only report or wait: streams of replies, and the replies to calls that
// wait.
#pragma once

#include "common/pattern.h"
#include "daemon/access/quota.h"
#include "daemon/objects/registry.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/reply_cache.h"
#include "daemon/waiting/delivery.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/waits.h"

#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

// A List call in progress. Its position is the last name it looked at, so objects can be created
// and deleted between two of its replies.
class PendingList : public PendingReply {
public:
    PendingList(Registry& registry, const Waits& waits, Peer peer, Pattern pattern)
        : registry_{registry}, waits_{waits}, peer_{std::move(peer)}, pattern_{std::move(pattern)}
    {
    }

    Progress advance(OutputQueue& output) override;

private:
    Registry& registry_;
    const Waits& waits_;
    Peer peer_;
    Pattern pattern_;
    std::optional<Name> cursor_;
};

// A Wait call in progress. The tokens that it consumed are returned unless the reply reaches the
// client.
class PendingWait : public PendingReply {
public:
    // The first reply: the outcome, or a report that the wait has started.
    enum class FirstReply { outcome, started };

    // `requested_holds`: the largest number of tokens that the session will hold by this wait.
    PendingWait(Registry& registry, Counters& counters, Session& session,
                std::unique_ptr<Wait> wait, FirstReply first, std::size_t requested_holds)
        : counters_{counters}, session_{session}, reply_cache_{registry, session},
          wait_{std::move(wait)}, requested_holds_{static_cast<std::int64_t>(requested_holds)},
          must_report_start_{first == FirstReply::started}
    {
        session_.holds_requested += requested_holds_;
    }
    ~PendingWait() override { session_.holds_requested -= requested_holds_; }
    PendingWait(const PendingWait&) = delete;
    PendingWait& operator=(const PendingWait&) = delete;

    Progress advance(OutputQueue& output) override;
    void on_dropped() override { wait_->return_tokens(); }
    void on_sent() override { wait_->confirm_taken(session_); }

private:
    Counters& counters_;
    Session& session_;
    ReplyCache reply_cache_;
    std::unique_ptr<Wait> wait_;
    std::int64_t requested_holds_;
    bool must_report_start_;
};

// A Quotas call in progress. The list of users is made at its start, so other users can start to
// use the daemon between two of its replies.
class PendingQuotas : public PendingReply {
public:
    PendingQuotas(const Quota& quota, std::vector<uid_t> uids)
        : quota_{quota}, uids_{std::move(uids)}
    {
    }

    Progress advance(OutputQueue& output) override;

private:
    protocol::Quotas::User quotas_of(uid_t uid) const;

    const Quota& quota_;
    std::vector<uid_t> uids_;
    std::size_t next_index_ = 0;
};

// A Monitor call in progress. It ends with its connection, or with an error.
class PendingMonitor : public PendingReply {
public:
    PendingMonitor(Registry& registry, const Waits& waits, Delivery& delivery, Counters& counters,
                   std::unique_ptr<Monitor> monitor)
        : registry_{registry}, waits_{waits}, delivery_{delivery}, counters_{counters},
          monitor_{std::move(monitor)}
    {
    }

    Progress advance(OutputQueue& output) override;

private:
    Registry& registry_;
    const Waits& waits_;
    Delivery& delivery_;
    Counters& counters_;
    std::unique_ptr<Monitor> monitor_;
};

} // namespace evfd::daemon
