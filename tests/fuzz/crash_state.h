// What is left of a daemon that is killed.
#pragma once

#include "common/permissions.h"
#include "common/enums.h"
#include "tests/fuzz/environment.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace evfd::daemon {

// What a kill must leave of an object.
struct Remains {
    std::optional<Mode> mode;
    uid_t owner;
    Rights rights;
    std::uint64_t session;
    std::int64_t pulses;
    std::size_t followers;
    friend bool operator==(const Remains&, const Remains&) = default;
};
std::map<std::uint64_t, Remains> remains_of(World& world);      // By serial.
std::map<std::uint64_t, std::uint64_t> tokens_of(World& world); // Likewise.

// What its guardian has, to which nothing is done that its end would do. It ends in order all the
// same, with other descriptors in the places of its own.
Vault::Descriptors killed(std::unique_ptr<World> world);

} // namespace evfd::daemon
