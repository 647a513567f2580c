// How much of the daemon one user may hold. A Charge is so much of it that gives itself back.
#pragma once

#include "common/enums.h"
#include "common/limits.h"
#include "daemon/access/accounts.h"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

namespace evfd::daemon {

inline constexpr std::size_t resource_count = enum_names(Resource{}).size();

// How much of each one user may have.
struct Limits {
    std::array<std::int64_t, resource_count> per_user;

    constexpr std::int64_t get(Resource resource) const
    {
        return per_user[static_cast<std::size_t>(resource)];
    }
    constexpr void set(Resource resource, std::int64_t limit)
    {
        per_user[static_cast<std::size_t>(resource)] = limit;
    }
    friend bool operator==(const Limits&, const Limits&) = default;
};
inline constexpr Limits default_limits{{
    20'000,                          // objects
    8'192,                           // connections
    8'192,                           // subscriptions
    8'192,                           // waits
    64,                              // monitors
    50'000,                          // ticks
    16 * 1024 * 1024,                // unread_bytes
    4 * max_descriptors_per_message, // unread_descriptors
    64,                              // calls
}};

// Everybody's, and of those who have their own, these.
struct LimitTable {
    Limits general = default_limits;
    std::map<uid_t, Limits> users = {};

    const Limits& for_user(uid_t uid) const
    {
        const auto own = users.find(uid);
        return own == users.end() ? general : own->second;
    }
};

class Quota {
public:
    explicit Quota(Limits general) : Quota{LimitTable{general}} {}
    explicit Quota(LimitTable ceilings) : limits_{std::move(ceilings)} {}
    Quota(const Quota&) = delete;
    Quota& operator=(const Quota&) = delete;

    struct Exceeded {
        uid_t uid;
        Resource resource;
        std::int64_t limit;
    };

    class Charge {
    public:
        Charge(Charge&& other) noexcept
            : quota_{std::exchange(other.quota_, nullptr)}, account_{other.account_},
              resource_{other.resource_}, amount_{other.amount_}
        {
        }
        Charge& operator=(Charge&&) = delete;
        ~Charge();

        uid_t account() const { return account_; }
        std::int64_t amount() const { return amount_; }
        // Over the limit if need be: it has happened already.
        void resize(std::int64_t amount);

    private:
        friend class Quota;
        Charge(Quota& quota, uid_t account, Resource resource, std::int64_t amount)
            : quota_{&quota}, account_{account}, resource_{resource}, amount_{amount}
        {
        }
        Quota* quota_;
        uid_t account_;
        Resource resource_;
        std::int64_t amount_;
    };

    // Who has more keeps it.
    void set_limits(LimitTable ceilings) { limits_ = std::move(ceilings); }
    // Of what is charged from now on.
    void set_accounts(Accounts accounts) { accounts_ = std::move(accounts); }
    // Users of one account are one user here.
    uid_t account(uid_t uid) const { return accounts_.account_of(uid); }
    // Called before a refusal: what has come back by now, and nobody told us, is to be given back.
    using Reclaim = std::function<void(uid_t account)>;
    void set_reclaim(Resource resource, Reclaim reclaim);

    std::expected<Charge, Exceeded> charge(uid_t uid, Resource resource, std::int64_t amount = 1);
    // What is had already, over the limit if need be.
    Charge charge_unchecked(uid_t uid, Resource resource, std::int64_t amount = 1);
    // Whether so much more can be had.
    std::expected<void, Exceeded> check(uid_t uid, Resource resource, std::int64_t amount = 1);

    std::int64_t limit(uid_t uid, Resource resource) const
    {
        return limits_.for_user(account(uid)).get(resource);
    }
    std::int64_t used(uid_t uid, Resource resource) const;
    std::int64_t used_by_all(Resource resource) const;
    std::vector<uid_t> users() const; // Accounts that hold anything, in order.

private:
    using Counts = std::array<std::int64_t, resource_count>;

    void add(uid_t account, Resource resource, std::int64_t amount);

    LimitTable limits_;
    Accounts accounts_;
    Counts totals_{};
    std::unordered_map<uid_t, Counts> counts_; // Of accounts that hold anything.
    std::array<Reclaim, resource_count> reclaims_{};
};

// Of what all users share, the last part is for those who have little of it, so that nobody can use
// it up for the others. Root and the daemon's own user may, and are not kept from asking for more.
bool may_use_shared_pool(uid_t uid, std::int64_t used, std::int64_t free, std::int64_t all);

} // namespace evfd::daemon
