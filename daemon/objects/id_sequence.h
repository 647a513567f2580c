// IdSequence: assigns the ids of objects, sessions, subscriptions, processes and records of taken
// tokens. No id is used twice, not even after a crash: a later daemon continues after the last id
// that an earlier daemon can have assigned, even if the object with that id was deleted.
#pragma once

#include "daemon/store/state_store.h"

#include <cstdint>

namespace evfd::daemon {

class IdSequence {
public:
    explicit IdSequence(StateStore& state_store) : state_store_{state_store} {}
    IdSequence(const IdSequence&) = delete;

    // Returns an id that was never assigned before.
    std::uint64_t next();
    // Makes the next ids follow those of an earlier daemon. `last_id` is the last id that is known
    // to be assigned. `is_certain` says that no later id was assigned.
    void continue_after(std::uint64_t last_id, bool is_certain);
    // Returns whether an earlier daemon can have assigned the id.
    bool is_recovered(std::uint64_t id) const { return id <= last_recovered_; }

private:
    void reserve();

    StateStore& state_store_;
    std::uint64_t last_ = 0;
    std::uint64_t reserved_ = 0; // The last id that a record in the state store reserves.
    std::uint64_t last_recovered_ = 0;
};

} // namespace evfd::daemon
