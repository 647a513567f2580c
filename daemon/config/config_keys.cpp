#include "daemon/config/config_keys.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <limits>

namespace evfd::daemon {

namespace {

// Users and groups.

// The id; nothing if the name does not exist. A failed lookup is a fault, because the name may
// exist.
template <class Id>
using Lookup = Result<std::optional<Id>>;
template <class Id>
using FindId = Lookup<Id> (*)(const std::string& name);

// Tells from errno whether getpwnam(3) or getgrnam(3) found no entry or failed.
template <class Id>
Lookup<Id> not_found(const char* call)
{
    if (errno == 0 || errno == ENOENT || errno == ESRCH)
        return std::nullopt;
    return std::unexpected(Fault::last(call));
}

Lookup<uid_t> find_user(const std::string& name)
{
    errno = 0;
    const auto* user = ::getpwnam(name.c_str());
    return user ? std::optional{user->pw_uid} : not_found<uid_t>("getpwnam(3)");
}

Lookup<gid_t> find_group(const std::string& name)
{
    errno = 0;
    const auto* group = ::getgrnam(name.c_str());
    return group ? std::optional{group->gr_gid} : not_found<gid_t>("getgrnam(3)");
}

// Accepts a number with or without quotes. The highest id means "unchanged" to the kernel. chown(2)
template <class Id>
std::optional<Id> to_id(const ConfigValue& value)
{
    std::int64_t number = value.integer;
    if (value.kind == json::Kind::string) {
        const auto* end = value.text.data() + value.text.size();
        const auto [stopped, error] = std::from_chars(value.text.data(), end, number);
        if (error != std::errc{} || stopped != end)
            return {};
    } else if (value.kind != json::Kind::integer) {
        return {};
    }
    if (number < 0 || number >= std::numeric_limits<Id>::max())
        return {};
    return static_cast<Id>(number);
}

template <class Id>
ReadResult read_id(const ConfigNode& node, std::string_view what, FindId<Id> find, Id& into,
                   UnknownName& unknown)
{
    const bool is_text = node.value.kind == json::Kind::string;
    auto id = to_id<Id>(node.value);
    if (!id && is_text) {
        const auto found = find(node.value.text);
        if (!found)
            return error_at(node, fmt::format("{} cannot be looked up: {}; reload once it can be",
                                              node.value.summary(), found.error().message()));
        id = *found;
    }
    if (id)
        into = *id;
    else if (is_text)
        unknown =
            error_at(node, fmt::format("there is no {} {}", what, node.value.summary())).error();
    else
        return error_at(node,
                        fmt::format("{} is not a {}; give the name of an existing one, or a number",
                                    node.value.summary(), what));
    return {};
}

} // namespace

std::unexpected<ConfigError> error_at(const ConfigNode& node, std::string what)
{
    return std::unexpected(ConfigError{node.file, node.value.line, node.key, std::move(what)});
}

std::unexpected<ConfigError> invalid_value(const ConfigNode& node, std::string_view expected)
{
    return error_at(node, fmt::format("{} is not valid; give {}", node.value.summary(), expected));
}

std::unexpected<ConfigError> unknown_key(const ConfigNode& node, std::string_view known)
{
    return std::unexpected(
        ConfigError{node.file, node.value.key_line, node.key,
                    fmt::format("there is no such key; take it out, or give one of {}", known)});
}

ReadResult read_user(const ConfigNode& node, uid_t& into, UnknownName& unknown)
{
    return read_id<uid_t>(node, "user", find_user, into, unknown);
}

ReadResult read_group(const ConfigNode& node, gid_t& into, UnknownName& unknown)
{
    return read_id<gid_t>(node, "group", find_group, into, unknown);
}

void add_warning(UnknownName unknown, std::string_view consequence, Config& config)
{
    (unknown->what += ", so ") += consequence;
    config.warnings.push_back(unknown->message());
}

} // namespace evfd::daemon
