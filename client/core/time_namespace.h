// Tells whether a clock has an offset in the time namespace of this process: time_namespaces(7).
#pragma once

#include "common/enums.h"

namespace evfd {

// Returns whether `clock` has an offset in this process's time namespace. Only the monotonic and
// boottime clocks can have one.
bool has_namespace_offset(Clock clock);

} // namespace evfd
