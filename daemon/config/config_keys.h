// How the keys of a configuration file are read: each is a name and a function, in a table.
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

// A value, and where it stands.
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
    std::string key; // With all around it.
    const ConfigValue& value;
};

// What is read so far.
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

std::unexpected<ConfigError> error_at(const ConfigNode& place, std::string what);
// "5 will not do; give ..."
std::unexpected<ConfigError> invalid_value(const ConfigNode& place, std::string_view wanted);
std::unexpected<ConfigError> unknown_key(const ConfigNode& place, std::string_view known);

template <class T>
struct Key {
    std::string_view name;
    ReadResult (*read)(const ConfigNode& place, T& into);
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
        const auto place = object.member(child);
        const auto key = std::ranges::find(keys, child.key, &Key<T>::name);
        if (key == keys.end())
            return unknown_key(place, names_of(keys));
        if (auto read = key->read(place, into); !read)
            return read;
    }
    return {};
}

// Calls `read(place)` for each element of a list.
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

// The text at `place`, parsed; nothing if it is no text or none of that sort.
template <class Parse>
auto parse_text(const ConfigNode& place, Parse parse) -> decltype(parse(std::string_view{}))
{
    if (place.value.kind != json::Kind::string)
        return {};
    return parse(std::string_view{place.value.text});
}

// "a, b or c": the words of an enum.
template <NamedEnum E>
std::string choices()
{
    std::string text;
    const auto all = enum_names(E{});
    for (std::size_t i = 0; i < all.size(); ++i)
        (text += i == 0 ? "" : i + 1 == all.size() ? " or " : ", ") += all[i].second;
    return text;
}

// A name that no user, or no group, of this machine has. That is no error: an account may be
// removed while a file still names it. What names it is left out.
using UnknownName = std::optional<ConfigError>;

// Whom the machine knows by this name, or a number, in quotes or not.
ReadResult read_user(const ConfigNode& place, uid_t& into, UnknownName& unknown);
ReadResult read_group(const ConfigNode& place, gid_t& into, UnknownName& unknown);
// Adds the warning. `consequence`: what is left out, and what to do.
void add_warning(UnknownName unknown, std::string_view consequence, Config& config);

// Who may do what: daemon/config_policy.cpp.
ReadResult read_policy(const ConfigNode& place, ConfigDraft& draft);
void add_policy_keys(std::vector<std::string>& keys);

// The lists of declared objects: daemon/config_objects.cpp.
ReadResult read_events(const ConfigNode& place, ConfigDraft& draft);
ReadResult read_timers(const ConfigNode& place, ConfigDraft& draft);
void add_object_keys(std::vector<std::string>& keys);

} // namespace evfd::daemon
