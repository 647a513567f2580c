// The text of a Varlink interface, made from the messages themselves.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace evfd::protocol {

// The full names of the interfaces we speak, sorted.
std::vector<std::string> interface_names();
// Nothing if we do not speak it.
const std::string* interface_text(std::string_view name);

} // namespace evfd::protocol
