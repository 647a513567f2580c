// ObjectRef: one object, by its name and its serial.
#pragma once

#include "common/name.h"

#include <cstdint>

namespace evfd::daemon {

// Identifies one object, even if its name belongs to another object by now.
struct ObjectRef {
    Name name;
    std::uint64_t serial;
};

} // namespace evfd::daemon
