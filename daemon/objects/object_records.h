// Converts objects to records of the state store, and records back to objects. put_counters() also
// stages records.
#pragma once

#include "common/name.h"
#include "daemon/access/policy.h"
#include "daemon/objects/object.h"
#include "daemon/objects/session.h"
#include "daemon/store/records.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

inline record::Id to_record(std::uint64_t id)
{
    return static_cast<record::Id>(id);
}

record::Object record_of(const Name& name, const Object& object);
// Stages the counters of a persistent object: those of a timer or a pulse, or the number of an
// event. Does nothing for an event whose counter is an eventfd.
void put_counters(StateStore& state_store, const Object& object);
// Returns whether ObjectTable::persist() writes the counters of the object in addition to the
// record of the object.
bool has_recorded_count(const Object& object);
record::Subscription record_of(const Token& token, const Object& object, const Session& session);

Ownership ownership_of(const record::Object& record);
Lifetime lifetime_of(const record::Object& record);
// Returns the id of the session or process whose end deletes the object; 0 if the object is
// permanent.
std::uint64_t lifetime_owner_of(const record::Object& record);
// Returns whether the object is an event other than a pulse.
bool is_event(const record::Object& record);
// Returns the Pulse or Timer that the record describes. The record must not describe another event.
Object::Body body_of(record::Object record, const record::Counters& counters);

} // namespace evfd::daemon
