// Symbolic permissions of the command line, as chmod(1) has them: "u=rw,g=r".
#pragma once

#include "common/permissions.h"

#include <optional>
#include <string_view>

namespace evfd::control {

// Returns whether the text looks like symbolic permissions, which change the present permissions.
bool is_symbolic(std::string_view text);

// Changes `present` by clauses, separated by commas: any of u, g, o and a (none means a), then one
// of =, + and -, then any of r and w. Returns nothing if the text is malformed.
std::optional<Permissions> apply_symbolic(std::string_view text, Permissions present);

} // namespace evfd::control
