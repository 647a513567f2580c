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
// Converts 1 to max_names_per_call names, none of them twice. The items have no id, so they match
// objects of any id.
Expected<Items<protocol::Item>> to_items(std::span<const std::string> texts);

} // namespace evfd
