// Wait: one Wait call, until it is answered or cancelled.
//
// A wait does not know connections: it calls its Wake function when it is done, and the waiter then
// asks for the outcome. Waits completes it.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "common/socket.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/session.h"
#include "daemon/waiting/wait_queue.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Waits;

// The pulses or expirations that satisfy the item.
inline std::int64_t required_count(const protocol::WaitItem& item)
{
    return item.count.value_or(protocol::Count{1}).value;
}

class Wait {
public:
    using Wake = std::function<void()>; // Must not destroy the wait during the call.

    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // Returns nothing until the wait is done.
    std::optional<Outcome<protocol::Wait::Reply>>& outcome();
    // Returns the tokens that the wait consumed: its outcome did not reach the waiter.
    void return_tokens();
    // The outcome reached the waiter: tokens to be held become a hold of the session or process.
    void confirm_taken(Session& session);

private:
    friend class Waits;

    // One of the items, whether it is satisfied, and by how many pulses or expirations. Tokens
    // (auto events, semaphores) are taken at the very end; until then they are not recorded here.
    struct Part {
        Name name;
        ListNode node;
        std::int64_t required_count; // The pulses or expirations that satisfy the part.
        protocol::ObjectId id{}; // The id of the object that satisfied it, once the wait is done.
        std::int64_t count = 0;
        bool is_satisfied = false;
        WaitQueue* queue = nullptr; // The queue of the name, while the wait is in it.
        std::int64_t sets = 0;      // The queue's `sets` and `times` that this part has counted.
        std::int64_t times = 0;
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call, std::optional<HoldRequest> hold_request);

    bool is_done() const { return is_complete_ || outcome_.has_value(); }
    void count(Part& part, std::int64_t times) const;
    void catch_up(Part& part) const; // Adds what the queue has counted since.
    bool is_blocked_on(const Part& part) const;

    Waits& waits_;
    Peer peer_;
    Quota::Charge charge_;
    Require require_;
    // Present if the wait holds the tokens that it consumes.
    std::optional<HoldRequest> hold_request_;
    std::vector<Part> parts_;
    std::uint64_t session_;
    TakenTokens taken_;
    Wake wake_;
    std::uint64_t position_ = 0; // The same in every queue; 0 while the wait is in none.
    // A wait for all is blocked on one part, the last that was found unsatisfied. While that part
    // is unsatisfied, the wait cannot complete, whatever happens to the others.
    std::size_t blocked_on_ = 0;
    bool is_complete_ = false; // The outcome has all parts; it is built when outcome() is called.
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Timeout> timeout_;
};

} // namespace evfd::daemon
