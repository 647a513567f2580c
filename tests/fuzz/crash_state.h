// What is left of a daemon that is killed.
#pragma once

#include "common/enums.h"
#include "common/permissions.h"
#include "tests/fuzz/environment.h"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace evfd::daemon {

// What a kill must leave of an object.
struct PersistedObject {
    std::optional<Mode> mode;
    uid_t owner;
    Permissions permissions;
    std::uint64_t session;
    std::int64_t pulses;
    std::size_t subscriptions;
    friend bool operator==(const PersistedObject&, const PersistedObject&) = default;
};
std::map<std::uint64_t, PersistedObject> persisted_objects(DaemonInstance& instance); // By serial.
std::map<std::uint64_t, std::uint64_t> persisted_tokens(DaemonInstance& instance);    // Likewise.

// What its guardian has, to which nothing is done that its end would do. It ends in order all the
// same, with other descriptors in the places of its own.
StateStore::Descriptors crash(std::unique_ptr<DaemonInstance> instance);

} // namespace evfd::daemon
