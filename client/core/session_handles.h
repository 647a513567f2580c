// SessionHandles: the objects and subscriptions that belong to a session and last without a call.
#pragma once

#include "common/name.h"

#include <cstddef>
#include <set>
#include <string>

namespace evfd {

class SessionHandles {
public:
    bool is_empty() const { return !is_pinned_ && objects_.empty() && subscriptions_.empty(); }

    // The number of recorded objects is limited, because objects that others delete are not removed
    // here.
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
    // Records that something without a known end belongs to the session, or too much to list.
    void pin()
    {
        is_pinned_ = true;
        objects_.clear();
    }

private:
    static constexpr std::size_t max_objects = 1024;

    bool is_pinned_ = false;
    std::set<std::string> objects_;       // Names of temporary objects.
    std::set<std::string> subscriptions_; // Tokens of subscriptions.
};

} // namespace evfd
