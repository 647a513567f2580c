// How much of the daemon one user may hold. A Charge is one unit of it that gives itself back.
#pragma once

#include "common/words.h"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <expected>
#include <unordered_map>
#include <utility>

namespace evfd::daemon {

inline constexpr std::size_t resource_count = words(Resource{}).size();

// How many of each one user may have.
struct Limits {
    std::array<std::int64_t, resource_count> per_user;

    constexpr std::int64_t of(Resource resource) const
    {
        return per_user[static_cast<std::size_t>(resource)];
    }
    constexpr void set(Resource resource, std::int64_t most)
    {
        per_user[static_cast<std::size_t>(resource)] = most;
    }
    friend bool operator==(const Limits&, const Limits&) = default;
};
// objects, connections, subscriptions, waits, monitors
inline constexpr Limits default_limits{{20'000, 8'192, 8'192, 8'192, 64}};

class Quota {
public:
    explicit Quota(Limits limits) : limits_{limits} {}
    Quota(const Quota&) = delete;
    Quota& operator=(const Quota&) = delete;

    class Charge {
    public:
        Charge(Charge&& other) noexcept
            : quota_{std::exchange(other.quota_, nullptr)}, uid_{other.uid_},
              resource_{other.resource_}
        {
        }
        Charge& operator=(Charge&&) = delete;
        ~Charge();

    private:
        friend class Quota;
        Charge(Quota& quota, uid_t uid, Resource resource)
            : quota_{&quota}, uid_{uid}, resource_{resource}
        {
        }
        Quota* quota_;
        uid_t uid_;
        Resource resource_;
    };

    void set_limits(Limits limits) { limits_ = limits; } // Who has more keeps it.

    struct Exceeded {
        uid_t uid;
        Resource resource;
        std::int64_t limit;
    };
    std::expected<Charge, Exceeded> take(uid_t uid, Resource resource);

    // What an earlier daemon gave already, over the limit if need be.
    Charge take_again(uid_t uid, Resource resource);

    std::int64_t used(uid_t uid, Resource resource) const;
    std::int64_t used_by_all(Resource resource) const;

private:
    using Counts = std::array<std::int64_t, resource_count>;

    Limits limits_;
    Counts totals_{};
    std::unordered_map<uid_t, Counts> counts_; // Of users who hold anything.
};

} // namespace evfd::daemon
