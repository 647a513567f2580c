// Reads the keys of a configuration file. A table maps each key to a function.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// A value with its file and its path of keys.
struct ConfigNode {
    ConfigNode member(const ConfigValue& child) const
    {
        return {file, key.empty() ? child.key : key + '.' + child.key, child};
    }
    ConfigNode element(std::size_t index) const
    {
        return {file, fmt::format("{}[{}]", key, index), value.children[index]};
    }

    const std::string& file;
    std::string key; // Full path, such as "events[2].mode".
    const ConfigValue& value;
};

// The configuration while it is being read.
struct ConfigDraft {
    struct Declaration {
        std::string where;
        bool is_event;
        std::size_t index;
    };
    Config config;
    std::map<Name, Declaration> declared;
};

using ReadResult = std::expected<void, ConfigError>;

std::unexpected<ConfigError> error_at(const ConfigNode& node, std::string what);
// Returns an error like "5 is not valid; give ..."
std::unexpected<ConfigError> invalid_value(const ConfigNode& node, std::string_view expected);
std::unexpected<ConfigError> unknown_key(const ConfigNode& node, std::string_view known);

template <class T>
struct Key {
    std::string_view name;
    ReadResult (*read)(const ConfigNode& node, T& into);
};

template <class T, std::size_t n>
std::string names_of(const std::array<Key<T>, n>& keys)
{
    std::string names;
    for (const auto& key : keys)
        (names += names.empty() ? "" : ", ") += key.name;
    return names;
}

template <class T, std::size_t n>
ReadResult read_keys(const ConfigNode& object, const std::array<Key<T>, n>& keys, T& into)
{
    if (object.value.kind != json::Kind::object)
        return invalid_value(object, "an object, as {\"key\": value}");
    for (const auto& child : object.value.children) {
        const auto node = object.member(child);
        const auto key = std::ranges::find(keys, child.key, &Key<T>::name);
        if (key == keys.end())
            return unknown_key(node, names_of(keys));
        if (auto read = key->read(node, into); !read)
            return read;
    }
    return {};
}

// Calls `read(node)` for each element of a list.
template <class Each>
ReadResult read_list(const ConfigNode& list, Each read)
{
    if (list.value.kind != json::Kind::array)
        return invalid_value(list, "a list, as [...]");
    for (std::size_t i = 0; i < list.value.children.size(); ++i)
        if (auto done = read(list.element(i)); !done)
            return done;
    return {};
}

// Parses the string at `node`; nothing if it is not a string or is malformed.
template <class Parse>
auto parse_text(const ConfigNode& node, Parse parse) -> decltype(parse(std::string_view{}))
{
    if (node.value.kind != json::Kind::string)
        return {};
    return parse(std::string_view{node.value.text});
}

// Returns the names of an enum: "a, b or c".
template <NamedEnum E>
std::string choices()
{
    std::string text;
    const auto all = enum_names(E{});
    for (std::size_t i = 0; i < all.size(); ++i)
        (text += i == 0 ? "" : i + 1 == all.size() ? " or " : ", ") += all[i].second;
    return text;
}

// The error for a name that no user or group of this machine has. It is only a warning, since an
// account may be removed while a file still names it. The part that names it is ignored.
using UnknownName = std::optional<ConfigError>;

// Resolves a user or group name, or a number with or without quotes, to an id.
ReadResult read_user(const ConfigNode& node, uid_t& into, UnknownName& unknown);
ReadResult read_group(const ConfigNode& node, gid_t& into, UnknownName& unknown);
// Adds a warning. `consequence` says what is ignored and what to do.
void add_warning(UnknownName unknown, std::string_view consequence, Config& config);

// The policy: config_policy.cpp.
ReadResult read_policy(const ConfigNode& node, ConfigDraft& draft);
void add_policy_keys(std::vector<std::string>& keys);

// The declared objects: config_objects.cpp.
ReadResult read_events(const ConfigNode& node, ConfigDraft& draft);
ReadResult read_timers(const ConfigNode& node, ConfigDraft& draft);
void add_object_keys(std::vector<std::string>& keys);

} // namespace evfd::daemon
