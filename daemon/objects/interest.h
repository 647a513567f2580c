// Interest: what keeps an object watched.
//
// Registry::watch() returns an Interest and counts it on the object. The watch of the object may
// end when the last Interest has ended. An Interest may outlive its object.
#pragma once

#include "daemon/objects/object_change.h"

#include <utility>

namespace evfd::daemon {

class Registry;

class Interest {
public:
    Interest(Interest&& other) noexcept
        : registry_{std::exchange(other.registry_, nullptr)}, object_{std::move(other.object_)}
    {
    }
    Interest& operator=(Interest&&) = delete;
    ~Interest();

private:
    friend class Registry;
    Interest(Registry& registry, ObjectRef object)
        : registry_{&registry}, object_{std::move(object)}
    {
    }

    Registry* registry_;
    ObjectRef object_;
};

} // namespace evfd::daemon
