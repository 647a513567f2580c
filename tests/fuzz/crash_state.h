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

// Destroys the instance as if the daemon were killed, and returns the descriptors that an fd store
// would keep. A kill runs no destructors, so the destructors of the instance must not change the
// stored state. Therefore crash() first makes the descriptors of the instance refer to other files,
// and returns copies of the files that are shared memory.
StateStore::Descriptors crash(std::unique_ptr<DaemonInstance> instance);

} // namespace evfd::daemon
