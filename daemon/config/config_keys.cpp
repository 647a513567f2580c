#include "daemon/config/config_keys.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <limits>

namespace evfd::daemon {

namespace {

// Users and groups.

// Nothing if it does not exist. A lookup that failed is a fault, for the user may exist.
template <class Id>
using Found = Result<std::optional<Id>>;
template <class Id>
using FindId = Found<Id> (*)(const std::string& name);

// By what getpwnam(3) and getgrnam(3) leave in errno where they find nothing.
template <class Id>
Found<Id> not_found(const char* call)
{
    if (errno == 0 || errno == ENOENT || errno == ESRCH)
        return std::nullopt;
    return std::unexpected(Fault::last(call));
}

Found<uid_t> find_user(const std::string& name)
{
    errno = 0;
    const auto* user = ::getpwnam(name.c_str());
    return user ? std::optional{user->pw_uid} : not_found<uid_t>("getpwnam(3)");
}

Found<gid_t> find_group(const std::string& name)
{
    errno = 0;
    const auto* group = ::getgrnam(name.c_str());
    return group ? std::optional{group->gr_gid} : not_found<gid_t>("getgrnam(3)");
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
    if (!id && is_text) {
        const auto found = find(place.value.text);
        if (!found)
            return wrong(place, fmt::format("{} cannot be looked up: {}; reload once it can be",
                                            place.value.shown(), found.error().message()));
        id = *found;
    }
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
