#include "common/codec.h"

#include <fmt/format.h>

namespace evfd {

void DecodeContext::fail(std::string_view name, Defect defect, std::optional<json::Value> at,
                         std::string (*expected)())
{
    if (!bad)
        bad = BadField{.defect = defect, .at = at, .expected = expected};
    if (bad->name.empty())
        bad->name = name;
}

std::string explain(const BadField& bad)
{
    const auto expected = bad.expected ? bad.expected() : std::string{};
    switch (bad.defect) {
    case Defect::missing: return fmt::format("it has no {}; give one: {}", bad.name, expected);
    case Defect::repeated: return "this key is repeated; take one of them out";
    case Defect::unknown:
        return fmt::format("there is no such key; take it out, or give one of {}", expected);
    case Defect::invalid: break;
    }
    return bad.reason.empty()
               ? fmt::format("{} is not valid; give {}", json::summary(*bad.at), expected)
               : bad.reason;
}

} // namespace evfd
