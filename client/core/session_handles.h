// SessionHandles: the temporary objects and subscriptions that belong to a session, and need the
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

    // When the list of objects reaches its limit, pin() replaces it. A limit is needed because an
    // object stays in the list if another client deletes the object.
    void add_object(const Name& name)
    {
        if (is_pinned_)
            return;
        objects_.insert(name.text());
        if (objects_.size() == max_objects)
            pin();
    }
    void remove_object(const Name& name) { objects_.erase(name.text()); }
    void add_subscription(const std::string& token) { subscriptions_.insert(token); }
    void remove_subscription(const std::string& token) { subscriptions_.erase(token); }
    // Records that the session is in use until it ends: something belongs to it whose end is not
    // reported to this class, or more objects than are listed.
    void pin()
    {
        is_pinned_ = true;
        objects_.clear();
    }

private:
    static constexpr std::size_t max_objects = 1024;

    bool is_pinned_ = false;
    std::set<std::string> objects_;       // The names of the session's temporary objects.
    std::set<std::string> subscriptions_; // The tokens of the session's subscriptions.
};

} // namespace evfd
