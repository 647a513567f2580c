// WaitQueue: the waits for one name, in the order of arrival.
#pragma once

#include "daemon/objects/interest.h"
#include "daemon/objects/object.h"

#include <cstdint>
#include <map>
#include <optional>

namespace evfd::daemon {

class Wait;

// A node of a circular list of waits. A node without a wait is the head of the list, or a marker
// that an iteration over the list moves along.
class ListNode {
public:
    explicit ListNode(Wait* wait = nullptr) : wait_{wait} {}
    // Takes over the wait of `other`. The node `other` must not be in a list, and the new node is
    // in no list.
    ListNode(ListNode&& other) noexcept : wait_{other.wait_} {}
    ListNode& operator=(ListNode&&) = delete;
    ~ListNode() { unlink(); }

    void insert_before(ListNode& other);
    void insert_after(ListNode& other) { insert_before(*other.next_); }
    void unlink();
    // Moves this node behind the next node that has a wait, and returns that wait. Returns null at
    // the end of `list`.
    Wait* advance(const ListNode& list);

private:
    Wait* wait_;
    ListNode* previous_ = this;
    ListNode* next_ = this;
};

// The waits for one name, and what happened to the object since the queue was created.
struct WaitQueue {
    ListNode list{}; // The waits in the order of arrival.
    std::int64_t length = 0;
    // The waits to try when the object changes. The key is the position of the wait in the order of
    // arrival.
    std::map<std::uint64_t, Wait*> blocked{};
    // The object of this name; null while no object has the name.
    Object* object = nullptr;
    std::optional<Interest> interest{}; // Makes the object watched while this queue has waits.
    // The number of times that a manual event was set since the queue was created.
    std::int64_t sets = 0;
    std::int64_t times = 0; // The number of pulses or expirations since the queue was created.
    // The last epoch (see Waits) that began with an edge or the creation of the object, or with a
    // new check of a wait for the object.
    std::uint64_t changed_in = 0;
    std::uint64_t checked_in = 0; // The epoch (see Waits) in which cached_is_set was read.
    bool cached_is_set = false;
    int refs = 0; // The number of QueueRefs, which keep the queue even if no wait is in it.
};

} // namespace evfd::daemon
