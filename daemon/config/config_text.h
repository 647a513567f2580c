// Parses the text of a configuration file to a tree whose values know their lines. The format is
// JSON with comments, // and /* */. nlohmann's parser reads it.
#pragma once

#include "common/json.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

struct ConfigValue {
    // Returns a member of an object; null if there is none.
    const ConfigValue* find(std::string_view name) const;
    std::string summary() const; // The value in short, for a message; the kind of a container.

    json::Kind kind = json::Kind::null;
    std::size_t line = 0;     // Line where the value ends, or where a container begins.
    std::string key = {};     // Key of a member of an object.
    std::size_t key_line = 0; // Line of the key.
    std::int64_t integer = 0; // Also 0 or 1 for a boolean.
    std::string text = {};    // A string, or a number that is not an integer of 63 bits.
    std::vector<ConfigValue> children = {};
};

// Reason why a text is invalid.
struct ConfigDefect {
    std::size_t line;
    std::string key; // Full path, such as "events[2].mode"; empty if no key is at fault.
    std::string what;
};

// Rejects malformed JSON, invalid UTF-8 outside of comments, repeated keys, nesting deeper than
// max_json_depth, and zero characters.
std::expected<ConfigValue, ConfigDefect> read_config_text(std::string_view text);

} // namespace evfd::daemon
