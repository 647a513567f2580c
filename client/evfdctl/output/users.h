// The names of users, as the machine of the caller knows them.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string>
#include <string_view>

namespace evfd::report {

// Returns the name of a user, or the uid if the user has no name. This function is not thread-safe.
std::string user(protocol::Uid uid);
// Returns the user with this name or number, or nothing if no user has the name.
std::optional<protocol::Uid> user_id(std::string_view text);

} // namespace evfd::report
