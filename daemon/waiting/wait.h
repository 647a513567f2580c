// Wait: one Wait call, until it is answered or cancelled.
//
// A wait does not know connections: it calls its Wake function when it is done, and the waiter then
// asks for the outcome. The class Waits completes the wait.
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

// Returns the number of pulses or expirations that satisfies the item.
inline std::int64_t required_count(const protocol::WaitItem& item)
{
    return item.count.value_or(protocol::Count{1}).value;
}

class Wait {
public:
    using Wake = std::function<void()>; // A callback, which must not destroy the wait.

    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // Returns the reply or the refusal; nothing until the wait is done.
    std::optional<Outcome<protocol::Wait::Reply>>& outcome();
    // Returns the consumed tokens to their events, because the outcome did not reach the waiter.
    void return_tokens();
    // Called when the outcome has reached the waiter. If the call asked for a hold, the consumed
    // tokens become a hold of the session or the process.
    void confirm_taken(Session& session);

private:
    friend class Waits;

    // One item of the wait: whether it is satisfied, and by how many pulses or expirations. A part
    // for an auto event or a semaphore is not marked as satisfied before its token is taken, at the
    // very end of the wait.
    struct Part {
        Name name;
        ListNode node;
        std::int64_t required_count; // The number of pulses or expirations that satisfies the part.
        // The id of the object that satisfied the part, once the wait is done.
        protocol::ObjectId id{};
        std::int64_t count = 0;
        bool is_satisfied = false;
        WaitQueue* queue = nullptr; // The queue of the name, while the wait is in it.
        std::int64_t sets = 0;      // The part of the queue's `sets` that this part has counted.
        std::int64_t times = 0;     // The part of the queue's `times` that this part has counted.
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call, std::optional<HoldRequest> hold_request);

    bool is_done() const { return is_complete_ || outcome_.has_value(); }
    void count(Part& part, std::int64_t times) const;
    // Adds to the part what its queue has counted since the last call.
    void catch_up(Part& part) const;
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
    // The position in the order of arrival, which is equal in all queues; 0 while the wait is in no
    // queue.
    std::uint64_t position_ = 0;
    // A wait for all is blocked on one part, the last that was found unsatisfied. While that part
    // is unsatisfied, the wait cannot complete, whatever happens to the other parts.
    std::size_t blocked_on_ = 0;
    // The wait completed by all of its parts. The outcome is built when outcome() is called.
    bool is_complete_ = false;
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Timeout> timeout_;
};

} // namespace evfd::daemon
