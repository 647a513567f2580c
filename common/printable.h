// Makes text of other programs, which can be hostile, safe for a terminal and a log.
#pragma once

#include <string>
#include <string_view>

namespace evfd {

// Replaces each control character (C0, DEL, C1) and each byte that is not UTF-8 by '?'.
std::string printable(std::string_view text);
// Replaces the same bytes as printable(), except line ends and tabs.
std::string printable_lines(std::string_view text);
// Escapes DEL and C1 in JSON text, where the other control characters are escaped already.
std::string printable_json(std::string_view json);

} // namespace evfd
