// The fields of an object, by the names that they have in the protocol, for scripts.
#pragma once

#include "common/protocol/protocol.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd::report {

// Returns whether an object can have the field, such as "count" or "timer.leftNSec".
bool is_property(std::string_view name);
// Returns the value of a field as text, or "" if the object does not have the field.
std::string property(protocol::Object& object, std::string_view name);

} // namespace evfd::report
