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

Expected<NameList> to_names(std::span<const std::string> texts)
{
    NameList names;
    for (const auto& text : texts) {
        auto name = to_name(text);
        if (!name)
            return std::unexpected(name.error());
        names.list.push_back(*std::move(name));
    }
    if (names.list.empty() || names.list.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid, fmt::format("name 1 to {} objects at a time, not {}",
                                                  max_names_per_call, names.list.size())});
    if (Codec<NameList>::has_duplicates(names.list))
        return std::unexpected(Error{ErrorCode::invalid, "name each object once"});
    return names;
}

} // namespace evfd
