#include "common/permissions.h"

#include "common/number.h"

#include <fmt/format.h>

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
    return fmt::format("{:04o}", bits_);
}

} // namespace evfd
