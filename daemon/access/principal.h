// A user or a group of this machine.
#pragma once

#include "common/codec.h"

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace evfd {

namespace daemon {

enum class PrincipalKind { user, group };
constexpr auto enum_names(PrincipalKind)
{
    return EnumNames<PrincipalKind, 2>{
        {{PrincipalKind::user, "user"}, {PrincipalKind::group, "group"}}};
}

// A user or a group of this machine, as the configuration gives it: by a name, or by a number with
// or without quotes.
template <PrincipalKind kind>
struct Principal {
    static constexpr std::string_view syntax = kind == PrincipalKind::user
                                                   ? "the name of an existing user, or a number"
                                                   : "the name of an existing group, or a number";
    std::optional<id_t> id; // Empty if the machine has no such user or group.
    json::Value at;
};
using User = Principal<PrincipalKind::user>;
using Group = Principal<PrincipalKind::group>;

// Returns the id of the user or the group that `value` names.
// The inner optional is empty if the machine has no user or group of this name.
// The outer optional is empty if `value` is not valid or the lookup fails.
std::optional<std::optional<id_t>> read_principal(PrincipalKind kind, json::Value value,
                                                  DecodeContext& context);

} // namespace daemon

template <daemon::PrincipalKind kind>
struct Codec<daemon::Principal<kind>> {
    static std::optional<daemon::Principal<kind>> read(json::Value value, DecodeContext& context)
    {
        const auto id = daemon::read_principal(kind, value, context);
        return id ? std::optional{daemon::Principal<kind>{*id, value}} : std::nullopt;
    }
};

} // namespace evfd
