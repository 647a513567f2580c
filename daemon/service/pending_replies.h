// Answers that are many replies, or not there yet.
#pragma once

#include "common/pattern.h"
#include "daemon/waiting/monitors.h"
#include "daemon/service/pending_reply.h"
#include "daemon/access/quota.h"
#include "daemon/service/service.h"
#include "daemon/waiting/waits.h"

#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

// A List call; its place is a name, so objects may come and go meanwhile.
class Listing : public Pending {
public:
    Listing(Service& service, Peer peer, Pattern pattern)
        : service_{service}, peer_{std::move(peer)}, pattern_{std::move(pattern)}
    {
    }

    Progress advance(Outbox& outbox) override;

private:
    static constexpr std::size_t per_reply = 64; // Well within max_reply_bytes.

    Service& service_;
    Peer peer_;
    Pattern pattern_;
    std::optional<Name> cursor_;
};

// The answer to a call that was done before.
class Replay : public Pending {
public:
    Replay(Registry& registry, Session& session) : registry_{registry}, session_{session} {}

    Progress advance(Outbox& outbox) override;
    void delivered() override
    {
        for (const auto& takings : std::exchange(session_.count->in_doubt, {}))
            registry_.settle(takings);
    }
    void undelivered() override { registry_.put_back(std::exchange(session_.count->in_doubt, {})); }

private:
    Registry& registry_;
    Session& session_;
};

class PendingWait : public Pending {
public:
    // What is said first.
    enum class First { outcome, that_it_began };

    // `to_hold`: how many tokens the session may hold by it.
    PendingWait(Service& service, Session& session, std::unique_ptr<Wait> wait, First first,
                std::size_t to_hold)
        : service_{service}, session_{session}, wait_{std::move(wait)},
          to_hold_{static_cast<std::int64_t>(to_hold)},
          is_to_say_it_began_{first == First::that_it_began}
    {
        session_.to_be_held += to_hold_;
    }
    ~PendingWait() override { session_.to_be_held -= to_hold_; }
    PendingWait(const PendingWait&) = delete;
    PendingWait& operator=(const PendingWait&) = delete;

    Progress advance(Outbox& outbox) override;
    void undelivered() override { wait_->undo(); }
    void delivered() override { wait_->settle(session_); }

private:
    Service& service_;
    Session& session_;
    std::unique_ptr<Wait> wait_;
    std::int64_t to_hold_;
    bool is_to_say_it_began_;
};

// A Quotas call; its place is a uid, so users may come and go meanwhile.
class QuotaListing : public Pending {
public:
    QuotaListing(const Quota& quota, std::vector<uid_t> uids)
        : quota_{quota}, uids_{std::move(uids)}
    {
    }

    Progress advance(Outbox& outbox) override;

private:
    static constexpr std::size_t per_reply = 64; // Well within max_reply_bytes.

    protocol::Quotas::User of(uid_t uid) const;

    const Quota& quota_;
    std::vector<uid_t> uids_;
    std::size_t told_ = 0;
};

class PendingMonitor : public Pending {
public:
    PendingMonitor(Service& service, std::unique_ptr<Monitor> monitor)
        : service_{service}, monitor_{std::move(monitor)}
    {
    }

    Progress advance(Outbox& outbox) override;

private:
    Service& service_;
    std::unique_ptr<Monitor> monitor_;
};

} // namespace evfd::daemon
