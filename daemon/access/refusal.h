// Refusals: the errors of the protocol with which the daemon answers a request that it does not
// carry out. Each refusal has one sentence for people that says what is wrong and what to do.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "common/result.h"
#include "daemon/access/quota.h"
#include "daemon/access/shared_pool.h"

#include <expected>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

namespace evfd::daemon {

// Any error of the protocol.
using Reason =
    std::variant<protocol::NoSuchName, protocol::NameTaken, protocol::Replaced, protocol::WrongKind,
                 protocol::NotPermitted, protocol::QuotaExceeded, protocol::OutOfDescriptors,
                 protocol::NoSuchSession, protocol::NoSuchHold, protocol::NoSuchProcess,
                 protocol::NoCapability, protocol::TooManyTokens, protocol::TimedOut,
                 protocol::Deleted, protocol::Cancelled, protocol::SystemFailure,
                 protocol::InterfaceNotFound, protocol::MethodNotFound, protocol::InvalidParameter,
                 protocol::ExpectedMore>;

// One error of the protocol. Copies share the error.
class Refusal {
public:
    template <class Error>
        requires requires { std::string_view{Error::error}; }
    Refusal(Error error) : reason_{std::make_shared<const Reason>(std::move(error))}
    {
    }
    // See refuse::system_failure() and refuse::quota_exceeded(). By these conversions, a Result or
    // the result of Quota::charge() can be returned as an Outcome.
    Refusal(const Fault& fault);
    Refusal(const Quota::Exceeded& exceeded);

    // Must not be called on a Refusal that was moved from.
    const Reason& reason() const { return *reason_; }

private:
    std::shared_ptr<const Reason> reason_;
};

template <class T>
using Outcome = std::expected<T, Refusal>;

namespace refuse {

Refusal no_such_name(const Name& name);
Refusal name_taken(const Name& name);
// The name belongs to another object than the caller meant. `id` is the id of the object that has
// the name now.
Refusal replaced(const Name& name, protocol::ObjectId id);
Refusal wrong_kind(const Name& name, std::string_view actual, std::string_view expected);
Refusal not_permitted(const Name& name, Permission permission, Permissions permissions,
                      uid_t owner);
// The policy denies the permission. A change of the object's own permissions would not help.
Refusal not_permitted_by_policy(const Name& name, Permission permission, uid_t caller);
// The caller has permission to wait, but a wait that consumes also requires permission to set.
Refusal consume_not_permitted(const Name& name, Permissions permissions, uid_t owner);
Refusal consume_not_permitted_by_policy(const Name& name);
// The daemon stores the groups of a peer that arms a timer with a target. This peer has more groups
// than the daemon stores.
Refusal too_many_groups(const Name& event);
// A user without a mapping in the daemon's user namespace cannot own anything.
Refusal unmapped_user(const Name& name, Permission permission);
Refusal quota_exceeded(const Quota::Exceeded& exceeded);
// A part of the daemon's descriptors is for objects, subscriptions and processes. Either all
// descriptors of this part are in use, or the free ones are reserved for users who have fewer
// descriptors. The caller must set `use.limit` to the amount of `use.resource` that the user has
// now, and not to the user's quota.
Refusal descriptor_shortage(SharedPool::Shortage shortage, const Quota::Exceeded& use);
// The units that are left in the pool are reserved for users who have fewer units. The caller must
// set `exceeded.limit` to the number of units that the user has now, and not to the user's quota.
Refusal reserved_for_others(const Quota::Exceeded& exceeded);
Refusal too_many_tokens_to_set(const Name& name);
Refusal too_many_tokens_to_clear(const Name& name);
Refusal too_many_tokens_to_hold(const Name& name);
Refusal no_such_session();
Refusal no_such_hold();
Refusal no_such_process();
Refusal timed_out();
Refusal deleted(const Name& name);
Refusal cancelled(const Name& name);
// The timer has subscribers. Their descriptors use the clock `present` and cannot change to the
// clock `requested`.
Refusal clock_in_use(const Name& name, Clock present, Clock requested);
// A timer on this clock wakes the machine from suspend. The caller is not permitted to do this.
Refusal wake_not_permitted(Clock clock);
// The clock cannot be used. EPERM for an alarm clock means that CAP_WAKE_ALARM is missing.
Refusal clock_unavailable(Clock clock, const Fault& fault);
// Returns OutOfDescriptors if the daemon ran out of descriptors, and SystemFailure for other
// faults.
Refusal system_failure(const Fault& fault);

} // namespace refuse

} // namespace evfd::daemon
