// Quota: limits how much of each resource one account may use.
//
// Every resource has a limit for each user (LimitTable: general limits, and exceptions for single
// users). The use is counted for each account (Accounts), so a user with many uids cannot use more.
//
// charge() checks the limit and returns a Charge, an object that represents the used amount and
// releases it on destruction. The Charge is a member of the object that it pays for, so an object
// and its charge end together. charge_unchecked() and Charge::resize() charge for resources that
// are in use already, and do not check the limit.
//
// Some resources become free without a notice to the quota. For such a resource, set_reclaim()
// registers a function that releases what has become free. The quota calls this function before it
// refuses a charge.
//
// Invariants:
//
// - The amount of a resource that an account uses is the sum of its Charges.
// - A Charge is destroyed before its Quota.
// - A lower limit takes nothing away: users keep what they have.
#pragma once

#include "common/enums.h"
#include "common/limits.h"
#include "daemon/access/accounts.h"
#include "daemon/limits.h"

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

// The limits of one user.
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
    8'192,                           // opened_events: events that the user was the first to open
    8'192,                           // connections
    8'192,                           // subscriptions
    8'192,                           // waits
    64,                              // monitors
    50'000,                          // ticks: expirations per second of timers that set events
    16 * 1024 * 1024,                // unread_bytes: bytes of replies that clients have not read
    4 * max_descriptors_per_message, // unread_descriptors: descriptors that clients have not read
    64,                              // calls: calls answered in one iteration of the event loop
}};

// The highest limits that a configuration can set. The limit of objects can be higher than the
// default, because an object that nobody has opened takes only memory. Every other limit is at most
// the default.
inline constexpr Limits max_limits = [] {
    auto limits = default_limits;
    limits.set(Resource::objects, max_objects);
    return limits;
}();

// The general limits, and the limits of the users for whom the configuration sets different limits.
struct LimitTable {
    Limits general = default_limits;
    std::map<uid_t, Limits> users = {};

    const Limits& for_user(uid_t uid) const
    {
        const auto own = users.find(uid);
        return own == users.end() ? general : own->second;
    }
};

// A user, and the account that is charged for what the user uses.
struct Payer {
    uid_t uid;
    uid_t account;
};

class Quota {
public:
    explicit Quota(Limits general) : Quota{LimitTable{general}} {}
    explicit Quota(LimitTable limits) : limits_{std::move(limits)} {}
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
        // Changes the charged amount. Does not check the limit, because the use has changed
        // already.
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

    // Replaces the limits. Users above a new limit keep what they have.
    void set_limits(LimitTable limits) { limits_ = std::move(limits); }
    // Replaces the accounts. Charges that exist already stay with their accounts.
    void set_accounts(Accounts accounts) { accounts_ = std::move(accounts); }
    // Returns the account of the user. All users of an account share its quotas.
    uid_t account(uid_t uid) const { return accounts_.account_of(uid); }
    Payer payer(uid_t uid) const { return {uid, account(uid)}; }
    // A function that the quota calls before it refuses a charge to `account`. The function
    // releases charges of this account: those for resources that have become free without a notice
    // to the quota.
    using Reclaim = std::function<void(uid_t account)>;
    void set_reclaim(Resource resource, Reclaim reclaim);

    std::expected<Charge, Exceeded> charge(uid_t uid, Resource resource, std::int64_t amount = 1);
    // Charges without a check, for resources that are in use already.
    Charge charge_unchecked(uid_t uid, Resource resource, std::int64_t amount = 1);
    // Returns an error if charge() would fail with these arguments. Charges nothing.
    std::expected<void, Exceeded> check(uid_t uid, Resource resource, std::int64_t amount = 1);

    std::int64_t limit(uid_t uid, Resource resource) const
    {
        return limits_.for_user(account(uid)).get(resource);
    }
    std::int64_t used(uid_t uid, Resource resource) const;
    std::int64_t used_by_all(Resource resource) const;
    // Returns the accounts that use any resource, in ascending order.
    std::vector<uid_t> users() const;

private:
    using Counts = std::array<std::int64_t, resource_count>;

    void add(uid_t account, Resource resource, std::int64_t amount);

    LimitTable limits_;
    Accounts accounts_;
    Counts totals_{};
    // The use of each account. Accounts that use nothing are not in the map.
    std::unordered_map<uid_t, Counts> counts_;
    std::array<Reclaim, resource_count> reclaims_{};
};

} // namespace evfd::daemon
