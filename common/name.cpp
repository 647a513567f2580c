#include "common/name.h"

#include "common/limits.h"

#include <algorithm>
#include <limits>

namespace evfd {

namespace {

constexpr bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"._@:+-"}.contains(c);
}

bool is_segment(std::string_view text)
{
    return !text.empty() && text != "." && text != ".." &&
           std::ranges::all_of(text, is_name_character);
}

} // namespace

static_assert(max_name_bytes <= std::numeric_limits<std::uint8_t>::max());

Name::Name(std::string_view text) : bytes_{}, size_{static_cast<std::uint8_t>(text.size())}
{
    if (is_inline()) {
        std::ranges::copy(text, bytes_.begin());
        return;
    }
    auto* const copy = new char[text.size()];
    std::ranges::copy(text, copy);
    std::memcpy(bytes_.data(), static_cast<const void*>(&copy), sizeof copy);
}

std::optional<Name> Name::parse(std::string_view text)
{
    if (text.size() > max_name_bytes)
        return {};
    auto rest = text;
    while (true) {
        const auto slash = rest.find('/');
        if (!is_segment(rest.substr(0, slash)))
            return {};
        if (slash == std::string_view::npos)
            return Name{text};
        rest.remove_prefix(slash + 1);
    }
}

} // namespace evfd
