// crash() kills a daemon. The other functions return the state that must survive a kill.
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

// Properties of an object that must survive a kill.
struct PersistedObject {
    std::optional<Mode> mode;
    uid_t owner;
    Permissions permissions;
    std::uint64_t session;
    std::int64_t pulses;
    std::size_t subscriptions;
    friend bool operator==(const PersistedObject&, const PersistedObject&) = default;
};
// Returns the persistent objects. The key is the serial number of the object.
std::map<std::uint64_t, PersistedObject> persisted_objects(DaemonInstance& instance);
// Returns the number of tokens of each persistent event. The key is the serial number of the event.
std::map<std::uint64_t, std::uint64_t> persisted_tokens(DaemonInstance& instance);

// Destroys the instance with the effects of a kill, and returns the descriptors in the fd store. A
// kill runs no destructors. So crash() first makes the descriptors of the instance refer to other
// files, so that the destructors do not change the state.
StateStore::Descriptors crash(std::unique_ptr<DaemonInstance> instance);

} // namespace evfd::daemon
