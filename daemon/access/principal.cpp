#include "daemon/access/principal.h"

#include "common/number.h"
#include "common/result.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <limits>

namespace evfd::daemon {

namespace {

// Returns the id of the user or group. Returns nothing if the machine has no user or group of this
// name. A failed lookup is an error, because it does not show whether the user or group exists.
Result<std::optional<id_t>> find(PrincipalKind kind, const std::string& name)
{
    errno = 0;
    if (kind == PrincipalKind::user) {
        if (const auto* user = ::getpwnam(name.c_str()))
            return user->pw_uid;
    } else if (const auto* group = ::getgrnam(name.c_str())) {
        return group->gr_gid;
    }
    // The machine has no such user or group. getpwnam(3), getgrnam(3)
    if (errno == 0 || errno == ENOENT || errno == ESRCH)
        return std::nullopt;
    return std::unexpected(
        Fault::last(kind == PrincipalKind::user ? "getpwnam(3)" : "getgrnam(3)"));
}

std::optional<std::int64_t> number_in(json::Value value)
{
    if (value.kind() == json::Kind::integer)
        return value.integer();
    return parse_number<std::int64_t>(text_of(value).value_or(""));
}

} // namespace

std::optional<std::optional<id_t>> read_principal(PrincipalKind kind, json::Value value,
                                                  DecodeContext& context)
{
    const auto number = number_in(value);
    // The highest number is not an id: to the kernel, it means "unchanged". chown(2)
    if (number && *number >= 0 && *number < std::numeric_limits<id_t>::max())
        return static_cast<id_t>(*number);
    const auto name = text_of(value);
    if (!name)
        return {};
    const auto found = find(kind, std::string{*name});
    if (found)
        return *found;
    context.bad =
        BadField{.at = value,
                 .reason = fmt::format("{} cannot be looked up: {}; reload once it can be",
                                       json::summary(value), found.error().message())};
    return {};
}

} // namespace evfd::daemon
