// Checks of names from the caller before a request is sent.
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
// Accepts 1 to max_names_per_call names, none twice. The objects may have any id.
Expected<Items<protocol::Item>> to_items(std::span<const std::string> texts);

} // namespace evfd
