#include "client/core/validation.h"

#include <fmt/format.h>

namespace evfd {

namespace {

Error malformed_name(std::string_view name)
{
    return {ErrorCode::invalid,
            fmt::format("'{}' is not a valid name: use 1 to {} bytes, segments of letters, digits "
                        "and ._@:+- joined by single slashes, none of them '.' or '..'",
                        name, max_name_bytes)};
}

} // namespace

Expected<Name> to_name(std::string_view text)
{
    if (auto name = Name::parse(text))
        return *std::move(name);
    return std::unexpected(malformed_name(text));
}

Expected<Items<protocol::Item>> to_items(std::span<const std::string> texts)
{
    Items<protocol::Item> items;
    for (const auto& text : texts) {
        auto name = to_name(text);
        if (!name)
            return std::unexpected(name.error());
        items.list.push_back({*std::move(name)});
    }
    if (items.list.empty() || items.list.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid, fmt::format("name 1 to {} objects at a time, not {}",
                                                  max_names_per_call, items.list.size())});
    if (has_duplicates(items.list))
        return std::unexpected(Error{ErrorCode::invalid, "name each object once"});
    return items;
}

} // namespace evfd
