// What belongs to a session and goes on without a call: objects that last as long as it does, and
// descriptors that the daemon feeds.
#pragma once

#include "common/name.h"

#include <cstddef>
#include <set>
#include <string>

namespace evfd {

class SessionHandles {
public:
    bool is_empty() const { return !is_pinned_ && objects_.empty() && subscriptions_.empty(); }

    // Objects that others delete are not taken away here, so there is an end to how many are noted.
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
    // Something that nobody tells of when it ends, or too much to be noted.
    void pin()
    {
        is_pinned_ = true;
        objects_.clear();
    }

private:
    static constexpr std::size_t max_objects = 1024;

    bool is_pinned_ = false;
    std::set<std::string> objects_;       // Their names.
    std::set<std::string> subscriptions_; // Their tokens.
};

} // namespace evfd
