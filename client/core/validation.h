// Names as they are typed, checked before they go out.
#pragma once

#include "common/codec.h"
#include "common/name.h"
#include "evfd/error.h"

#include <span>
#include <string>
#include <string_view>

namespace evfd {

Expected<Name> to_name(std::string_view text);
// 1 to max_names_per_call of them, none twice.
Expected<NameList> to_names(std::span<const std::string> texts);

} // namespace evfd
