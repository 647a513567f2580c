// Monitors: clients that observe every change of the objects whose names match a pattern.
//
// A monitor first lists the existing objects in the order of their names (Phase::present). After
// the last object it reports `ready`, and after `ready` it reports changes (Phase::live). A monitor
// stores the names of changed objects (dirty names), not messages. The caller of next() describes
// the object when the connection has room for output. A slow reader therefore sees several changes
// of one object as one change, and the memory of a monitor is limited. If more than max_dirty_names
// are dirty, the monitor reports `resync` and lists everything again. A listing of very many
// objects takes long. While more than half as many names are dirty, a monitor reports changes
// before it lists further objects, so that the listing ends unless names become dirty faster than
// they are reported.
//
// When an event is listed, the daemon first watches it for all edges and then describes it, so that
// no change after the description is missed. After a monitor has ended, sweep() visits the objects
// that the monitor could have watched, a part in each iteration, and ends the watches that nobody
// needs.
//
// A monitor visits only the names that its pattern can match (Pattern::range()). When the policy
// changes and the daemon has many objects, each monitor reports `resync`, so that the change itself
// takes little time.
//
// Invariants: a peer that is not allowed to see an object gets no event about the object. An object
// that becomes visible to the peer is reported as created. An object that becomes invisible is
// reported as deleted. Once a listing has visited an object's name (covers()), no change of the
// object is lost, but several changes can be reported as one.
#pragma once

#include "common/name.h"
#include "common/pattern.h"
#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/registry.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace evfd::daemon {

// Selects whether a monitor reports only changes, or numbers of waiters too.
enum class MonitorScope {
    changes,
    with_waiters, // The changes, and the numbers of waiters and subscribers.
};

class Monitors;

// One Monitor call in progress.
class Monitor {
public:
    using Wake = std::function<void()>;

    // An event to report, without the state of the object. The caller of next() adds the state.
    struct MonitorEvent {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name; // Empty for `ready` and `resync`.
    };

    ~Monitor();
    Monitor(const Monitor&) = delete;

    // Finds the object that next() will list, and watches it. Watching collects edges. The caller
    // delivers these edges before it calls next(), so that an edge from before the listing is not
    // reported as a change after the listing.
    void prepare();
    // Returns the next event. Returns nothing if everything is reported. Also returns nothing if
    // prepare() visited many objects without a match; has_more() is true in this case.
    std::optional<MonitorEvent> next();
    bool has_more() const { return phase_ != Phase::live; }
    // Returns the reason why the monitor cannot continue: an object to report could not be watched.
    // Returns an empty optional while the monitor can continue.
    const std::optional<Fault>& fault() const { return fault_; }
    const Peer& peer() const { return peer_; }

private:
    friend class Monitors;

    // The facts that the next report about a name needs. An object that the peer is not allowed to
    // see counts as an object that does not exist.
    struct DirtyEntry {
        bool existed; // True if the object existed at the last report.
        // True if the object was deleted since the last report. A new object can have its name now.
        bool was_deleted;
    };
    enum class Phase { present, live, resync };

    Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern,
            MonitorScope scope, Wake wake);
    bool may_observe(const Name& name, const Object& object) const;
    bool sees(const Name& name, const Object& object) const;
    bool covers(const Name& name) const;
    // Makes covers() true for the name, and for all names before it.
    void cover(const Name& name);
    // Forgets what is still to be reported, and lists everything again.
    void resync();
    // Returns whether so many names are dirty that changes are reported before the listing goes on.
    bool must_report_changes() const;
    void mark_dirty(const Name& name, bool existed, bool is_deletion);
    // Marks the name as dirty if the peer could see the object before a change (`saw`) or can see
    // it after the change (`sees`).
    void mark_visibility(const Name& name, bool saw, bool sees);
    std::optional<MonitorEvent> next_present();
    std::optional<MonitorEvent> next_change();
    MonitorEvent make_event(Change change, std::optional<Name> name = {});

    Monitors& monitors_;
    Peer peer_;
    Quota::Charge charge_;
    Pattern pattern_;
    MonitorScope scope_;
    Wake wake_;
    std::int64_t sequence_ = 0;
    Phase phase_ = Phase::present;
    std::optional<Name> cursor_;      // The last name that the present listing has visited.
    std::optional<Name> listed_next_; // The name that prepare() found and next() lists.
    // The greatest name that any listing of this monitor has visited. Among the objects with names
    // up to this name, those that match the pattern and that the peer is allowed to observe are
    // watched.
    std::optional<Name> covered_up_to_;
    bool covers_all_ = false;
    std::map<Name, DirtyEntry> dirty_;
    std::optional<Fault> fault_;
};

class Monitors {
public:
    Monitors(EventLoop& loop, Registry& registry) : loop_{loop}, registry_{registry} {}
    Monitors(const Monitors&) = delete;

    // Starts a monitor. `wake` is called when next() has a new event to return. Existing objects
    // are watched from the moment they are listed.
    std::unique_ptr<Monitor> start(const Peer& peer, Quota::Charge charge, Pattern pattern,
                                   MonitorScope scope, Monitor::Wake wake);
    // Returns whether a monitor must learn when this event is set or cleared.
    bool is_observing(const Name& name, const Object& object) const;

    // Delivery calls the functions named on_...() below when an object has changed. The exception
    // is on_policy_changed(), which Service calls after the policy has changed.
    void on_created(const Name& name, Object& object);
    // Called when an event was set, cleared or pulsed, or when a timer was armed again, has expired
    // or was cancelled.
    void on_changed(const Name& name, const Object& object);
    void on_permissions_changed(const Name& name, Object& object, const Ownership& before);
    void on_deleted(const Name& name, const Ownership& before);
    void on_policy_changed(const Policy& before);
    // Called when the number of waiters or subscribers has changed. The new number is reported in a
    // later iteration, so that a client that comes and goes many times is reported once.
    void on_waiters_changed(const Name& name);

private:
    friend class Monitor;
    Result<void> watch(const Name& name, Object& object);
    void watch_or_warn(const Name& name, Object& object);
    void unwatch_if_unobserved(const Name& name, Object& object);
    // Starts a sweep: a pass over the objects of the range that ends the watches that no monitor
    // needs any more. Each iteration of the loop visits a part of the objects. If a sweep is in
    // progress already, another sweep follows it.
    void sweep_later(const NameRange& range);
    void sweep();
    void check_for_policy(const Name& name, Object& object, const Policy& before);
    void report_waiters();

    EventLoop& loop_;
    log::Limited log_;
    Registry& registry_;
    std::set<Monitor*> monitors_;
    bool is_sweeping_ = false; // True from the call of sweep_later() to the end of the sweep.
    NameRange sweep_range_;
    // The range of the next sweep. It contains the range of each call of sweep_later() during the
    // present sweep. Empty if there was no such call.
    std::optional<NameRange> next_sweep_;
    std::optional<Name> swept_up_to_;  // The last name that the present sweep has visited.
    std::int64_t waiter_monitors_ = 0; // The number of monitors with the scope with_waiters.
    // Names of objects whose number of waiters or subscribers has changed. The next iteration of
    // the loop reports these changes.
    std::set<Name> waiters_changed_;
    // The name that was reported last. The next report starts after this name, so every name gets
    // its turn.
    std::optional<Name> last_reported_;
};

} // namespace evfd::daemon
