// The pending replies to the calls that report or wait: List, Wait, Quotas and Monitor.
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

// A List call in progress. After each reply, it continues behind the last name that it has visited.
// Objects can therefore be created and deleted between two replies.
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

// A Wait call in progress. If the reply does not reach the client, the tokens that the wait
// consumed are returned to their events.
class PendingWait : public PendingReply {
public:
    // Says whether the first reply is the outcome, or only reports that the wait has started.
    enum class FirstReply { outcome, started };

    // `requested_holds` is the largest number of tokens that the session can hold as a result of
    // this wait.
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

// A Quotas call in progress. The list of users is made when the call starts. A user who starts to
// use the daemon later is not reported.
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
