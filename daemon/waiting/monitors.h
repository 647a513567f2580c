// Everyone who wants to hear of every change. What a monitor has not been told yet is kept as
// names, not as messages, so who reads slowly hears several changes of an object as one.
#pragma once

#include "common/name.h"
#include "common/pattern.h"
#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/registry.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace evfd::daemon {

// How many names with untold changes one monitor may have; with more it is told all anew.
inline constexpr std::size_t max_dirty_names = 1'024;

// What can wait is done for so long in one turn of the loop: looking at objects after a monitor has
// ended, telling how many wait for them.
inline constexpr std::chrono::microseconds max_sweep_time{200};

// What one wants to hear of.
enum class MonitorScope {
    changes,
    with_waiters, // Of how many wait for it or follow it too.
};

class Monitors;

// One Monitor call.
class Monitor {
public:
    using Wake = std::function<void()>;

    // What to tell next; the caller adds the object's state.
    struct MonitorEvent {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name; // None for ready and resync.
    };

    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    // Nothing if all is told; or if it has looked at many objects and found none that matches: then
    // there is more.
    std::optional<MonitorEvent> next();
    bool has_more() const { return phase_ != Phase::live; }
    // Why it cannot go on: something that it is to tell of cannot be watched.
    const std::optional<Fault>& fault() const { return fault_; }
    const Peer& peer() const { return peer_; }

private:
    friend class Monitors;

    // What became of a name since it was last told of. What the peer does not see is not there.
    struct DirtyEntry {
        bool existed;     // When it was last told of.
        bool was_deleted; // It was deleted since, whether or not it is there again.
    };
    enum class Phase { present, live, resync };
    static constexpr int max_objects_per_step = 64; // In one step.

    Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern,
            MonitorScope scope, Wake wake);
    bool may_observe(const Name& name, const Object& object) const;
    bool sees(const Name& name, const Object& object) const;
    bool covers(const Name& name) const;
    void mark_dirty(const Name& name, bool existed, bool is_deletion);
    // Whether it saw the object before, and does now.
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
    std::optional<Name> cursor_; // The last name told of as present.
    std::optional<Name>
        covered_up_to_; // The same when first it was told; up to there it is watched.
    bool covers_all_ = false;
    std::map<Name, DirtyEntry> dirty_;
    std::optional<Fault> fault_;
};

class Monitors {
public:
    Monitors(EventLoop& loop, Registry& registry) : loop_{loop}, registry_{registry} {}
    Monitors(const Monitors&) = delete;
    Monitors& operator=(const Monitors&) = delete;

    // `wake` is called when next() has something again. What there is is watched from when it is
    // told of.
    std::unique_ptr<Monitor> start(const Peer& peer, Quota::Charge charge, Pattern pattern,
                                   MonitorScope scope, Monitor::Wake wake);
    // Whether one of them wants to hear when this event is set or cleared.
    bool is_observing(const Name& name, const Object& object) const;

    // News from the registry.
    void on_created(const Name& name, Object& object);
    void on_changed(const Name& name, const Object& object); // Set, cleared, pulsed.
    void on_permissions_changed(const Name& name, Object& object, const Ownership& before);
    void on_deleted(const Name& name, const Ownership& before);
    void on_policy_changed(const Policy& before);
    // More wait for it than before, or follow it, or fewer. Told in a later turn, so that who comes
    // and goes many times is told of once.
    void on_interest_changed(const Name& name);

private:
    friend class Monitor;
    Result<void> watch(const Name& name, Object& object);
    void watch_or_warn(const Name& name, Object& object);
    // What was watched for a monitor that has ended need not be any more; a part of it in each
    // turn.
    void sweep_later();
    void sweep();
    void report_waiters();

    EventLoop& loop_;
    Registry& registry_;
    std::set<Monitor*> monitors_;
    bool is_sweeping_ = false;          // In this turn or the next.
    bool sweeps_again_ = false;         // From the beginning: another one has ended meanwhile.
    std::optional<Name> swept_up_to_;   // Up to here.
    std::int64_t waiter_monitors_ = 0;  // Those who hear of attendance.
    std::set<Name> waiters_changed_;    // To be told; if not empty, in the next turn.
    std::optional<Name> last_reported_; // Told of; then comes the next, so that each gets its turn.
};

} // namespace evfd::daemon
