// OwnedObjects: the names of the objects that end with a session or a process. That session or
// process is here called the owner of the objects.
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
    // `process` is the owner, if the owner is a process. The process is watched while it owns an
    // object.
    void add(std::uint64_t owner, const Name& name, std::optional<ProcessWatcher::Ref> process);
    void remove(std::uint64_t owner, const Name& name);
    bool has_any(std::uint64_t owner) const { return by_owner_.contains(owner); }
    // Returns the first names of the owner's objects, at most `max`.
    std::vector<Name> first(std::uint64_t owner, std::ptrdiff_t max) const;

private:
    struct Owned {
        std::optional<ProcessWatcher::Ref> process; // Empty if a session owns the objects.
        std::set<Name> names;
    };

    std::map<std::uint64_t, Owned> by_owner_; // Contains only owners that have an object.
};

} // namespace evfd::daemon
