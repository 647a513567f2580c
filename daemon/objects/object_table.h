// ObjectTable: the named objects, the list of what happened to them, and their records in the state
// store.
//
// The table calls nobody but the state store. What happens to an object is appended to a list of
// ObjectChange, which Delivery takes and passes to the waits and the monitors.
//
// Invariants:
// - An object that is persistent is recorded in the same function that changes it, and nothing
//   is sent to a client before that record is committed.
// - The list is empty before each call of a client: what one call changed reaches the waits before
//   the next call is done.
#pragma once

#include "common/name.h"
#include "daemon/objects/object.h"
#include "daemon/objects/object_change.h"
#include "daemon/objects/subscription.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace evfd::daemon {

// Proof that every change up to now was delivered. Each function that makes a change which could
// hide edges demands one.
class Delivered {
public:
    Delivered(const Delivered&) = delete; // A proof is used at once.
    Delivered& operator=(const Delivered&) = delete;

private:
    friend class ObjectTable;
    Delivered() = default;
};

class ObjectTable {
public:
    using Entry = Objects::value_type;

    explicit ObjectTable(StateStore& state_store) : state_store_{state_store} {}
    ObjectTable(const ObjectTable&) = delete;
    ObjectTable& operator=(const ObjectTable&) = delete;

    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const ObjectRef& reference) { return daemon::find(all_, reference); }
    // Returns the entry of an object, which exists.
    Entry& entry(const Name& name) { return *all_.find(name); }
    // All objects by name.
    Objects& all() { return all_; }
    const Objects& all() const { return all_; }

    void report(ObjectChange change) { changes_.push_back(std::move(change)); }
    void report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times = 0);
    // The changes since the last take_changes(), in the order in which they happened.
    bool has_changes() const { return !changes_.empty(); }
    std::vector<ObjectChange> take_changes();
    // Returns the proof. The caller has collected the edges that its change could hide, and has
    // delivered all changes.
    Delivered confirm_delivery() const;

    // Write the record of an object, or its counters alone.
    void persist(const Entry& entry);
    void persist_counters(const Object& object);
    // Erase the records of an object with its subscriptions, or of one subscription.
    void unpersist(const Object& object);
    void unpersist(const Subscription& subscription);

private:
    StateStore& state_store_;
    std::vector<ObjectChange> changes_;
    Objects all_;
};

} // namespace evfd::daemon
