#include "common/codec_message.h"

#include <algorithm>

namespace evfd {

std::optional<BadField> read_fields(std::optional<json::Value> object, DecodeContext& context,
                                    std::span<FieldSlot* const> slots)
{
    std::optional<BadField> bad;
    const auto read = [&](std::string_view key, json::Value value) {
        const auto found = std::ranges::find(slots, key, &FieldSlot::name);
        if (found == slots.end()) {
            if (context.unknown == UnknownFields::refuse)
                bad = BadField{std::string{key}};
        } else if ((*found)->has_value()) { // A repeated key.
            bad = BadField{std::string{key}};
        } else if (!(*found)->read(value, context)) {
            bad = BadField{context.inner.empty() ? std::string{key} : context.inner};
        }
        return !bad;
    };
    if (object && !object->members(read))
        return bad;
    for (auto* slot : slots)
        if (!slot->has_value() && !slot->leave_out())
            return BadField{std::string{slot->name()}};
    return {};
}

} // namespace evfd
