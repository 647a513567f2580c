// The text of a configuration file as a tree whose values know their lines. It is JSON with
// comments, // and /* */; reading is nlohmann's.
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
    const ConfigValue* find(std::string_view name) const; // An object's member, or null.
    std::string summary() const; // As it stands there, in short; a container by its kind.

    json::Kind kind = json::Kind::null;
    std::size_t line = 0;     // Where it ends; a container, where it begins.
    std::string key = {};     // In an object.
    std::size_t key_line = 0; // Where that stands.
    std::int64_t integer = 0; // Also a boolean's 0 or 1.
    std::string text = {};    // A string, or a number that is no integer of 63 bits.
    std::vector<ConfigValue> children = {};
};

// Why a text is none.
struct ConfigDefect {
    std::size_t line;
    std::string key; // With all around it: "events[2].mode". Empty where none is to blame.
    std::string what;
};

// Among the defects are: no JSON, invalid UTF-8 outside of comments, a repeated key, deeper than
// max_json_depth, a zero character.
std::expected<ConfigValue, ConfigDefect> read_config_text(std::string_view text);

} // namespace evfd::daemon
