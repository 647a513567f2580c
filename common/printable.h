// Text of another program, which may be hostile, made fit for a terminal and a log.
#pragma once

#include <string>
#include <string_view>

namespace evfd {

// In place of each control character (C0, DEL, C1) and of each byte that is no UTF-8 there is a
// '?'.
std::string printable(std::string_view text);
// The same, but for the ends of lines and tabs.
std::string printable_lines(std::string_view text);
// JSON text with DEL and C1 escaped as the rest of the control characters is already.
std::string printable_json(std::string_view json);

} // namespace evfd
