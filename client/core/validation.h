// Checks the names that the caller gives, before a request is sent.
#pragma once

#include "common/codec.h"
#include "common/name.h"
#include "common/protocol/types.h"
#include "evfd/error.h"

#include <span>
#include <string>
#include <string_view>

namespace evfd {

Expected<Name> to_name(std::string_view text);
// Checks the names and converts them to the items of a call. Fails if a name is invalid or occurs
// twice, if there is no name, or if there are more than max_names_per_call names. The items have no
// id, so an item matches every object with its name.
Expected<Items<protocol::Item>> to_items(std::span<const std::string> texts);

} // namespace evfd
