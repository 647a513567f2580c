#include "common/permissions.h"

#include <fmt/format.h>

#include <charconv>

namespace evfd {

std::optional<Permissions> Permissions::parse(std::string_view text)
{
    if (text.size() < 3 || text.size() > 4)
        return {};
    mode_t bits = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits, 8);
    if (error != std::errc{} || end != text.data() + text.size() ||
        (bits & ~(all_bits | executable)) != 0)
        return {};
    return Permissions{bits & all_bits};
}

std::string Permissions::text() const
{
    return fmt::format("{:04o}", bits_);
}

} // namespace evfd
