// SharedPool: a resource of which all users together have a fixed amount, such as descriptors.
//
// take() gives one unit to a user and returns a Charge, an object that returns the unit on
// destruction. The Charge is a member of the object that uses the unit. The last units of the pool
// are reserved for users who have few units, so that no user can take all units. Root and the
// daemon's user may use the reserved units, too.
//
// Invariants: used() is the number of Charges. A Charge is destroyed before its pool.
#pragma once

#include "daemon/access/quota.h"

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <unordered_map>

namespace evfd::daemon {

class SharedPool {
public:
    explicit SharedPool(std::int64_t capacity) : capacity_{capacity} {}
    SharedPool(const SharedPool&) = delete;
    SharedPool& operator=(const SharedPool&) = delete;

    // One unit of the pool, in use by one user.
    class Charge {
    public:
        // Returns the unit to the pool now.
        void release() { pool_.reset(); }

    private:
        friend class SharedPool;
        struct Return {
            uid_t account;
            void operator()(SharedPool* pool) const;
        };
        Charge(SharedPool& pool, uid_t account) : pool_{&pool, {account}} {}
        std::unique_ptr<SharedPool, Return> pool_; // The deleter only returns the unit.
    };

    // The reason why a user gets no unit. `exhausted`: no unit is left. `reserved`: the units that
    // are left are reserved for users who have fewer units.
    enum class Shortage : std::uint8_t { exhausted, reserved };

    std::expected<Charge, Shortage> take(const Payer& payer);
    // Takes a unit without a check, so more units can be in use than the pool has. Used for units
    // that are in use already, and for connections of root and of the daemon's user.
    Charge take_unchecked(const Payer& payer);

    std::int64_t used() const { return used_; }
    std::int64_t used_by(const Payer& payer) const;

private:
    std::int64_t capacity_;
    std::int64_t used_ = 0;
    // The number of units that each account has. Accounts without a unit are not in the map.
    std::unordered_map<uid_t, std::int64_t> used_by_account_;
};

} // namespace evfd::daemon
