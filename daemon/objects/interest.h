// Interest: keeps an object watched while the Interest exists.
//
// ObjectWatches::watch() returns an Interest. Each object has a count of its Interests. When the
// last Interest in an object has been destroyed, the daemon can stop watching the object. An
// Interest can outlive its object.
#pragma once

#include "daemon/objects/object_change.h"

#include <utility>

namespace evfd::daemon {

class ObjectWatches;

class Interest {
public:
    Interest(Interest&& other) noexcept
        : watches_{std::exchange(other.watches_, nullptr)}, object_{std::move(other.object_)}
    {
    }
    Interest& operator=(Interest&&) = delete;
    ~Interest();

private:
    friend class ObjectWatches;
    Interest(ObjectWatches& watches, ObjectRef object)
        : watches_{&watches}, object_{std::move(object)}
    {
    }

    ObjectWatches* watches_;
    ObjectRef object_;
};

} // namespace evfd::daemon
