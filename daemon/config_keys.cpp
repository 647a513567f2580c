#include "daemon/config_keys.h"

#include <grp.h>
#include <pwd.h>

#include <charconv>
#include <limits>

namespace evfd::daemon {

namespace {

// Users and groups.

template <class Id>
using FindId = std::optional<Id> (*)(const std::string& name);

std::optional<uid_t> find_user(const std::string& name)
{
    const auto* user = ::getpwnam(name.c_str());
    return user ? std::optional{user->pw_uid} : std::nullopt;
}

std::optional<gid_t> find_group(const std::string& name)
{
    const auto* group = ::getgrnam(name.c_str());
    return group ? std::optional{group->gr_gid} : std::nullopt;
}

// A number as such, or in quotes. The last one means "none" to the kernel. chown(2)
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
Read read_id(const Place& place, std::string_view what, FindId<Id> find, Id& into,
             UnknownName& unknown)
{
    const bool is_text = place.value.kind == json::Kind::string;
    auto id = to_id<Id>(place.value);
    if (!id && is_text)
        id = find(place.value.text);
    if (id)
        into = *id;
    else if (is_text)
        unknown = wrong(place, fmt::format("there is no {} {}", what, place.value.shown())).error();
    else
        return wrong(place, fmt::format("{} is no {}; give the name of one that is there, or a "
                                        "number",
                                        place.value.shown(), what));
    return {};
}

} // namespace

std::unexpected<ConfigError> wrong(const Place& place, std::string what)
{
    return std::unexpected(ConfigError{place.file, place.value.line, place.key, std::move(what)});
}

std::unexpected<ConfigError> will_not_do(const Place& place, std::string_view wanted)
{
    return wrong(place, fmt::format("{} will not do; give {}", place.value.shown(), wanted));
}

std::unexpected<ConfigError> unknown_key(const Place& place, std::string_view known)
{
    return std::unexpected(
        ConfigError{place.file, place.value.key_line, place.key,
                    fmt::format("there is no such key; take it out, or give one of {}", known)});
}

Read read_user(const Place& place, uid_t& into, UnknownName& unknown)
{
    return read_id<uid_t>(place, "user", find_user, into, unknown);
}

Read read_group(const Place& place, gid_t& into, UnknownName& unknown)
{
    return read_id<gid_t>(place, "group", find_group, into, unknown);
}

void warn_of(UnknownName unknown, std::string_view consequence, Config& config)
{
    (unknown->what += ", so ") += consequence;
    config.warnings.push_back(unknown->message());
}

} // namespace evfd::daemon
