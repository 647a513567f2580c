#include "daemon/waiting/wait_queue.h"

#include <utility>

namespace evfd::daemon {

void ListNode::insert_before(ListNode& other)
{
    unlink();
    previous_ = std::exchange(other.previous_, this);
    next_ = &other;
    previous_->next_ = this;
}

void ListNode::unlink()
{
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = this;
}

Wait* ListNode::advance(const ListNode& list)
{
    auto* next = next_;
    while (next != &list && !next->wait_)
        next = next->next_; // Skips the marker of another loop over this list.
    if (next == &list)
        return nullptr;
    insert_before(*next->next_);
    return next->wait_;
}

} // namespace evfd::daemon
