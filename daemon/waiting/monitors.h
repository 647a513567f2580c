// Monitors: clients that observe every change of the objects whose names match a pattern.
//
// A monitor first lists the existing objects in the order of their names (Phase::present), then
// reports `ready` and from then on changes (Phase::live). Unreported changes are kept as dirty
// names, not as messages: the caller of next() describes the object when the connection has room
// for output. So a slow reader sees several changes of one object as one, and a monitor's memory is
// limited. If more than max_dirty_names are dirty, the monitor reports `resync` and lists
// everything again.
//
// An event is watched for all edges from the moment it is listed, and described only after that, so
// that no change after the description is missed. After a monitor has ended, sweep() visits all
// objects, a part in each iteration, and ends the watches that nobody needs.
//
// Invariants: a peer that may not see an object gets no event about it; an object that becomes
// visible is reported as created, one that becomes invisible as deleted. Once a monitor covers an
// object's name (covers()), no change of the object is lost, but several changes can be reported as
// one.
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

// The changes that a monitor reports.
enum class MonitorScope {
    changes,
    with_waiters, // The changes, and the numbers of waiters and subscribers.
};

class Monitors;

// One Monitor call.
class Monitor {
public:
    using Wake = std::function<void()>;

    // The next event to report. The caller of next() adds the object's state.
    struct MonitorEvent {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name; // Empty for `ready` and `resync`.
    };

    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    // Watches the object that next() will list, if there is one. Watching collects edges. The
    // caller delivers these edges before it calls next(), so that an edge from before the listing
    // is not reported as a change after the listing.
    void prepare();
    // Returns the next event. Returns nothing if everything is reported, or if prepare() visited
    // many objects without a match. In the second case, has_more() is true.
    std::optional<MonitorEvent> next();
    bool has_more() const { return phase_ != Phase::live; }
    // The reason why the monitor cannot continue: an object to report cannot be watched.
    const std::optional<Fault>& fault() const { return fault_; }
    const Peer& peer() const { return peer_; }

private:
    friend class Monitors;

    // The history of a name since its last report. An object that the peer may not see counts as
    // one that does not exist.
    struct DirtyEntry {
        bool existed; // The object existed at the last report.
        // The object was deleted since the last report; a new one can have its name.
        bool was_deleted;
    };
    enum class Phase { present, live, resync };

    Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern,
            MonitorScope scope, Wake wake);
    bool may_observe(const Name& name, const Object& object) const;
    bool sees(const Name& name, const Object& object) const;
    bool covers(const Name& name) const;
    void mark_dirty(const Name& name, bool existed, bool is_deletion);
    // Marks the name as dirty if the peer saw the object before or sees it now.
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
    std::optional<Name> cursor_;      // The last name that was listed as present.
    std::optional<Name> listed_next_; // The name that prepare() found and next() lists.
    // The last name that was ever listed. The objects up to this name are watched.
    std::optional<Name> covered_up_to_;
    bool covers_all_ = false;
    std::map<Name, DirtyEntry> dirty_;
    std::optional<Fault> fault_;
};

class Monitors {
public:
    Monitors(EventLoop& loop, Registry& registry) : loop_{loop}, registry_{registry} {}
    Monitors(const Monitors&) = delete;
    Monitors& operator=(const Monitors&) = delete;

    // Starts a monitor. `wake` is called when next() has something to return again. Existing
    // objects are watched from the moment they are listed.
    std::unique_ptr<Monitor> start(const Peer& peer, Quota::Charge charge, Pattern pattern,
                                   MonitorScope scope, Monitor::Wake wake);
    // Returns whether a monitor wants to know when this event is set or cleared.
    bool is_observing(const Name& name, const Object& object) const;

    // Delivery calls these functions for each change. Only on_policy_changed() is called by
    // Service, after the policy has changed.
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
    // Starts a sweep, which ends the watches that only an ended monitor needed. Each iteration of
    // the loop visits a part of the objects.
    void sweep_later();
    void sweep();
    void report_waiters();

    EventLoop& loop_;
    log::Limited log_;
    Registry& registry_;
    std::set<Monitor*> monitors_;
    bool is_sweeping_ = false; // sweep() will run in this iteration or the next.
    // Another monitor has ended meanwhile, so one more sweep is needed after this one.
    bool sweeps_again_ = false;
    std::optional<Name> swept_up_to_;  // The sweep has visited the objects up to this name.
    std::int64_t waiter_monitors_ = 0; // The number of monitors with the scope with_waiters.
    // Names of objects whose number of waiters or subscribers has changed. If the set is not empty,
    // the next iteration reports it.
    std::set<Name> waiters_changed_;
    // The name that was reported last. The next report starts after this name, so every name gets
    // its turn.
    std::optional<Name> last_reported_;
};

} // namespace evfd::daemon
