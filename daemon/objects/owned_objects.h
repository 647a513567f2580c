// The objects that end with a session or a process, by the id of that owner.
#pragma once

#include "common/name.h"
#include "daemon/objects/process_watcher.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace evfd::daemon {

class OwnedObjects {
public:
    // `process`: the owner if it is a process. It is watched while it owns an object.
    void add(std::uint64_t owner, const Name& name, std::optional<ProcessWatcher::Ref> process);
    void remove(std::uint64_t owner, const Name& name);
    bool has_any(std::uint64_t owner) const { return by_owner_.contains(owner); }
    // Returns the first names of the owner's objects, at most `max`.
    std::vector<Name> first(std::uint64_t owner, std::ptrdiff_t max) const;

private:
    struct Owned {
        std::optional<ProcessWatcher::Ref> process; // None if a session owns them.
        std::set<Name> names;
    };

    std::map<std::uint64_t, Owned> by_owner_; // An owner has at least one object.
};

} // namespace evfd::daemon
