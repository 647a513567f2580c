// parse_number(): reads a text that is a whole number.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace evfd {

// Returns nothing if the text is not a number of this base alone, or if the number does not fit.
template <std::integral T>
std::optional<T> parse_number(std::string_view text, int base = 10)
{
    T value{};
    const auto* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
    return error == std::errc{} && stopped == end ? std::optional{value} : std::nullopt;
}

} // namespace evfd
