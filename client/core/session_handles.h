// SessionHandles: the temporary objects and subscriptions that belong to a session. They need the
// session even while no call is in progress.
#pragma once

#include "common/name.h"

#include <cstddef>
#include <set>
#include <string>

namespace evfd {

class SessionHandles {
public:
    bool is_empty() const { return !is_pinned_ && objects_.empty() && subscriptions_.empty(); }

    // Adds a temporary object to the list. If the list reaches its limit, pin() empties the list
    // and marks the session as in use for good. The limit is needed because an object that another
    // client deletes stays in the list.
    void add_object(const Name& name)
    {
        if (is_pinned_)
            return;
        objects_.emplace(name.text());
        if (objects_.size() == max_objects)
            pin();
    }
    void remove_object(const Name& name) { objects_.erase(std::string{name.text()}); }
    void add_subscription(const std::string& token) { subscriptions_.insert(token); }
    void remove_subscription(const std::string& token) { subscriptions_.erase(token); }
    // Marks the session as in use until it ends. Needed for a hold, because this class does not
    // learn when the hold ends. Also needed for more objects than the list can contain.
    void pin()
    {
        is_pinned_ = true;
        objects_.clear();
    }

private:
    static constexpr std::size_t max_objects = 1024;

    bool is_pinned_ = false;
    std::set<std::string> objects_;       // The names of the session's temporary objects.
    std::set<std::string> subscriptions_; // The identifiers of the session's subscriptions.
};

} // namespace evfd
