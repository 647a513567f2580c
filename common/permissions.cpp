#include "common/permissions.h"

#include "common/number.h"

#include <cstddef>

namespace evfd {

std::optional<Permissions> Permissions::parse(std::string_view text)
{
    if (text.size() < 3 || text.size() > 4)
        return {};
    const auto bits = parse_number<mode_t>(text, 8);
    if (!bits || (*bits & ~(all_bits | executable)) != 0)
        return {};
    return Permissions{*bits & all_bits};
}

std::string Permissions::text() const
{
    std::string text = "0000";
    for (std::size_t i = 1; i < text.size(); ++i)
        text[i] = static_cast<char>('0' + (bits_ >> (3 * (text.size() - 1 - i)) & 7));
    return text;
}

} // namespace evfd
