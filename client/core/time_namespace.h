// Whether moments on a clock mean to this process what they mean to others. time_namespaces(7)
#pragma once

#include "common/enums.h"

namespace evfd {

// Its monotonic and boottime clocks may have a zero of their own; the wall clock is everybody's.
bool has_namespace_offset(Clock clock);

} // namespace evfd
