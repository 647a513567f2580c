// Interest: keeps an object watched while the Interest exists.
//
// ObjectWatches::watch() returns an Interest. Each object has a count of its Interests. When the
// last Interest in an object has been destroyed, the daemon can stop watching the object. An
// Interest can outlive its object.
#pragma once

#include "daemon/objects/object_change.h"

#include <memory>
#include <utility>

namespace evfd::daemon {

class ObjectWatches;

class Interest {
    friend class ObjectWatches;
    struct End {
        ObjectRef object;
        void operator()(ObjectWatches* watches) const;
    };
    Interest(ObjectWatches& watches, ObjectRef object) : watches_{&watches, {std::move(object)}} {}

    std::unique_ptr<ObjectWatches, End> watches_; // The deleter only ends the Interest.
};

} // namespace evfd::daemon
