// ObjectTable: the named objects, the list of what happened to them, and their records in the state
// store.
//
// The table calls only the state store. Everything that happens to an object is appended to a list
// of ObjectChange, which Delivery takes and passes to the waits and the monitors.
//
// Invariants:
// - A persistent object is recorded in the same function that changes it, and nothing is sent to a
//   client before that record is committed.
// - The list is empty before each call of a client: the changes of one call reach the waits before
//   the next call begins.
#pragma once

#include "common/name.h"
#include "common/name_range.h"
#include "daemon/objects/object.h"
#include "daemon/objects/object_change.h"
#include "daemon/objects/subscription.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <optional>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::daemon {

// Proof that every change up to now was delivered to the waits and the monitors. A function that
// could hide an undelivered edge, such as a clear, demands this proof as an argument.
class Delivered {
public:
    // Not copyable: after the next change of an object, a Delivered no longer proves anything.
    Delivered(const Delivered&) = delete;
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

    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const ObjectRef& reference) { return daemon::find(all_, reference); }
    // Returns the pair of this name and its object. The object must exist.
    Entry& entry(const Name& name) { return *all_.find(name); }
    // Returns all objects, by name.
    Objects& all() { return all_; }
    const Objects& all() const { return all_; }
    // Returns the objects with the names of the range, in the order of names. If `after` is not
    // empty, returns only the objects with later names than `after`, which must be a name of the
    // range. An object of this name need not exist. The view is valid until an object is deleted,
    // and as long as `range` exists.
    auto in(const NameRange& range, const std::optional<Name>& after = {})
    {
        const auto first =
            after ? all_.upper_bound(*after) : all_.lower_bound(std::string_view{range.prefix()});
        return std::ranges::subrange{first, all_.end()} |
               std::views::take_while(
                   [&range](const Entry& entry) { return range.contains(entry.first); });
    }

    void report(ObjectChange change) { changes_.push_back(std::move(change)); }
    void report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times = 0);
    // Returns whether there are changes that take_changes() has not returned yet.
    bool has_changes() const { return !changes_.empty(); }
    // Returns the changes since the previous call of take_changes(), in the order in which they
    // happened.
    std::vector<ObjectChange> take_changes();
    // Returns the proof that all changes were delivered. Before this call, the caller must collect
    // the edges that the caller's next change could hide. The caller must then deliver all changes.
    Delivered confirm_delivery() const;

    // Writes the record of the object to the state store, if the object is persistent.
    void persist(const Entry& entry);
    // Writes only the counters of the object, if the object is persistent. See put_counters().
    void persist_counters(const Object& object);
    // Erases the records of the object and of its subscriptions.
    void unpersist(const Object& object);
    // Erases the record of the number of an event.
    void unpersist_number(const Object& object);
    // Erases the record of one subscription.
    void unpersist(const Subscription& subscription);

private:
    StateStore& state_store_;
    std::vector<ObjectChange> changes_;
    Objects all_;
};

} // namespace evfd::daemon
