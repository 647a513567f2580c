#include "common/printable.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>

namespace evfd {

namespace {

struct Character {
    std::size_t bytes;
    std::optional<std::uint32_t> code; // The code point; empty if the bytes are not UTF-8.
};

// Returns the number of bytes in a UTF-8 character that begins with the byte `first`. Returns 0 if
// no character begins with this byte. utf-8(7)
std::size_t sequence_length(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

// Decodes the first character of a text that is not empty.
Character decode_first(std::string_view text)
{
    constexpr std::array<std::uint32_t, 5> minimum{0, 0, 0x80, 0x800, 0x10000};
    const auto first = static_cast<unsigned char>(text.front());
    const auto length = sequence_length(first);
    if (length == 0 || text.size() < length)
        return {1, {}};
    std::uint32_t code = length == 1 ? first : first & (0x7fU >> length);
    for (const char c : text.substr(1, length - 1)) {
        const auto next = static_cast<unsigned char>(c);
        if ((next & 0xc0U) != 0x80)
            return {1, {}};
        code = (code << 6) | (next & 0x3fU);
    }
    if (code < minimum[length]) // The encoding is overlong.
        return {1, {}};
    return {length, code};
}

bool is_control(std::uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

template <class Instead>
std::string without_controls(std::string_view text, const Instead& replace)
{
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        const auto [bytes, code] = decode_first(text);
        if (code && !is_control(*code))
            clean += text.substr(0, bytes);
        else
            replace(clean, code);
        text.remove_prefix(bytes);
    }
    return clean;
}

} // namespace

std::string printable(std::string_view text)
{
    return without_controls(text, [](std::string& clean, auto) { clean += '?'; });
}

std::string printable_lines(std::string_view text)
{
    return without_controls(text, [](std::string& clean, std::optional<std::uint32_t> code) {
        clean += code == '\n' || code == '\t' ? static_cast<char>(*code) : '?';
    });
}

std::string printable_json(std::string_view json)
{
    return without_controls(json, [](std::string& clean, std::optional<std::uint32_t> code) {
        fmt::format_to(std::back_inserter(clean), "\\u{:04x}", code.value_or(0xfffd));
    });
}

} // namespace evfd
