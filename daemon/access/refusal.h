// Why a request is not done. Every kind is an error of the protocol, with its sentence for people:
// what is the matter, and what to do.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "common/result.h"
#include "daemon/access/quota.h"

#include <expected>
#include <memory>
#include <string_view>
#include <utility>
#include <variant>

namespace evfd::daemon {

// The protocol's errors.
using Reason =
    std::variant<protocol::NoSuchName, protocol::NameTaken, protocol::WrongKind,
                 protocol::NotPermitted, protocol::QuotaExceeded, protocol::OutOfDescriptors,
                 protocol::NoSuchSession, protocol::NoSuchHold, protocol::NoSuchProcess,
                 protocol::NoCapability, protocol::TooManyTokens, protocol::TimedOut,
                 protocol::Deleted, protocol::Cancelled, protocol::SystemFailure,
                 protocol::InterfaceNotFound, protocol::MethodNotFound, protocol::InvalidParameter,
                 protocol::ExpectedMore>;

// One of them. Nearly every function can return a Refusal and few look into it: a variant of 19
// types would be compiled into each file, so its copies and its destructor are in refusal.cpp.
class Refusal {
public:
    template <class Error>
        requires requires { Error::error; }
    Refusal(Error error) : reason_{std::make_unique<Reason>(std::move(error))}
    {
    }
    Refusal(const Refusal& other);
    Refusal(Refusal&& other) noexcept;
    Refusal& operator=(const Refusal& other);
    Refusal& operator=(Refusal&& other) noexcept;
    ~Refusal();

    // Not of one that was moved from.
    Reason& reason() { return *reason_; }
    const Reason& reason() const { return *reason_; }

private:
    std::unique_ptr<Reason> reason_;
};

template <class T>
using Outcome = std::expected<T, Refusal>;

namespace refuse {

Refusal no_such_name(const Name& name);
Refusal name_taken(const Name& name);
Refusal wrong_kind(const Name& name, std::string_view actual, std::string_view expected);
Refusal not_permitted(const Name& name, Permission right, Permissions rights, uid_t owner);
// The object's rights may be as they like, or it is not there yet.
Refusal not_permitted_by_policy(const Name& name, Permission right, uid_t caller);
// The caller has the right to wait, but to consume takes the right to set as well.
Refusal consume_not_permitted(const Name& name, Permissions rights, uid_t owner);
Refusal consume_not_permitted_by_policy(const Name& name);
// The groups of who arms a timer that sets the event are kept, and these are too many.
Refusal too_many_groups(const Name& event);
// Nothing can belong to a user for whom our user namespace has no number of its own.
Refusal unmapped_user(const Name& name, Permission right);
Refusal quota_exceeded(const Quota::Exceeded& exceeded);
// What is left is for those who have less; `exceeded.limit` is what the user has.
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
// Descriptors that follow it go by the one clock, and it was to go by the other.
Refusal clock_in_use(const Name& name, Clock present, Clock wanted);
// It wakes the machine, and the caller may not have that done.
Refusal wake_not_permitted(Clock clock);
// The clock is not to be had: EPERM for an alarm clock means CAP_WAKE_ALARM.
Refusal clock_unavailable(Clock clock, const Fault& fault);
// OutOfDescriptors where that is what happened.
Refusal system_failure(const Fault& fault);

} // namespace refuse

} // namespace evfd::daemon
