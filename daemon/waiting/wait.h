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
#include <list>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Waits;

// Returns how many pulses or expirations the item requires.
inline std::int64_t required_count(const protocol::WaitItem& item)
{
    return item.count.value_or(protocol::Count{1}).value;
}

class Wait {
public:
    // The type of the function that is called when the wait is done. It must not destroy the wait.
    using Wake = std::function<void()>;

    ~Wait();
    Wait(const Wait&) = delete;

    // Returns the reply or the refusal; nothing until the wait is done.
    std::optional<Outcome<protocol::Wait::Reply>>& outcome();
    // Returns the consumed tokens to their events, because the outcome did not reach the waiter.
    void return_tokens();
    // Called when the outcome has reached the waiter. If the call asked for a hold, the consumed
    // tokens become a hold of the session or the process.
    void confirm_taken(Session& session);

private:
    friend class Waits;

    // One item of the wait, and its state: whether it is satisfied, and how many pulses or
    // expirations it has counted. An item that is an auto event or a semaphore is not satisfied
    // before its token is taken, at the very end of the wait.
    struct Part {
        Name name;
        std::int64_t required_count; // How many pulses or expirations the item requires.
        // The id of the object that satisfied the item. It is valid once the wait is done.
        protocol::ObjectId id{};
        std::int64_t count = 0;
        bool is_satisfied = false;
        WaitQueue* queue = nullptr; // The queue of the name; null while the wait is in no queue.
        std::list<Wait*>::iterator place{}; // The place of the wait in the queue.
        // The value of WaitQueue::sets when this item was last updated.
        std::int64_t sets = 0;
        // The value of WaitQueue::times when this item was last updated.
        std::int64_t times = 0;
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call, std::optional<HoldRequest> hold_request);

    bool is_done() const { return is_complete_ || outcome_.has_value(); }
    void count(Part& part, std::int64_t times) const;
    // Updates one item of the wait with the sets, pulses and expirations that the item's queue has
    // counted since the last call for this item.
    void catch_up(Part& part) const;
    bool is_blocked_on(const Part& part) const;

    Waits& waits_;
    Peer peer_;
    Quota::Charge charge_;
    Require require_;
    // Present if the caller wants to hold the tokens that the wait consumes.
    std::optional<HoldRequest> hold_request_;
    std::vector<Part> parts_;
    std::uint64_t session_;
    TakenTokens taken_;
    Wake wake_;
    // The position of the wait in the order of arrival. All queues of the wait use this number. It
    // is 0 while the wait is in no queue.
    std::uint64_t position_ = 0;
    // For a wait that requires all of its items: the index of the item that was most recently found
    // unsatisfied. The wait cannot complete while this item is unsatisfied.
    std::size_t blocked_on_ = 0;
    // True if this wait requires all of its items and has completed. The reply is built later, by
    // outcome().
    bool is_complete_ = false;
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Timeout> timeout_;
};

} // namespace evfd::daemon
