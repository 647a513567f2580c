// Converts objects to records of the state store, and records back to objects. The functions have
// no state; the caller puts the records into the store.
#pragma once

#include "common/name.h"
#include "daemon/access/policy.h"
#include "daemon/access/shared_pool.h"
#include "daemon/objects/object.h"
#include "daemon/objects/session.h"
#include "daemon/store/fd_stash.h"
#include "daemon/store/records.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

inline record::Id to_record(std::uint64_t id)
{
    return static_cast<record::Id>(id);
}

record::Object record_of(const Name& name, const Object& object);
record::Counters counters_of(const Object& object);
// Returns whether ObjectTable::persist() writes the counters of the object in addition to the
// record of the object.
bool has_recorded_count(const Object& object);
record::Subscription record_of(const Token& token, const Object& object, const Session& session);

Ownership ownership_of(const record::Object& record);
Lifetime lifetime_of(const record::Object& record);
// Returns the id of the session or process whose end deletes the object; 0 if the object is
// permanent.
std::uint64_t lifetime_owner_of(const record::Object& record);
// Returns whether the object is an event other than a pulse, and so has an eventfd.
bool has_eventfd(const record::Object& record);
// A descriptor in the stash, and the charge for that descriptor.
struct ChargedDescriptor {
    FdStash::Stored stored;
    SharedPool::Charge charge;
};
// Returns the Event, Pulse or Timer that the record describes. The record must have a mode or a
// timer. `eventfd` is the stashed descriptor, which must be present if has_eventfd() is true for
// the record.
Object::Body body_of(record::Object record, const record::Counters& counters,
                     std::optional<ChargedDescriptor> eventfd);

} // namespace evfd::daemon
