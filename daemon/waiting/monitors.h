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
inline constexpr std::size_t max_untold_changes = 1'024;

// What can wait is done for so long in one turn of the loop: looking at objects after a monitor has
// ended, telling how many wait for them.
inline constexpr std::chrono::microseconds max_sweep{200};

// What one wants to hear of.
enum class Hearing {
    changes,
    attendance, // Of how many wait for it or follow it too.
};

class Monitors;

// One Monitor call.
class Monitor {
public:
    using Wake = std::function<void()>;

    // What to tell next; the caller adds the object's state.
    struct News {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name; // None for ready and resync.
    };

    ~Monitor();
    Monitor(const Monitor&) = delete;
    Monitor& operator=(const Monitor&) = delete;

    // Nothing if all is told; or if it has looked at many objects and found none that matches: then
    // there is more.
    std::optional<News> next();
    bool has_more() const { return phase_ != Phase::live; }
    // Why it cannot go on: something that it is to tell of cannot be watched.
    const std::optional<Fault>& fault() const { return fault_; }
    const Peer& peer() const { return peer_; }

private:
    friend class Monitors;

    // What became of a name since it was last told of. What the peer does not see is not there.
    struct Untold {
        bool was_there;  // When it was last told of.
        bool is_another; // It was deleted since, whether or not it is there again.
    };
    enum class Phase { present, live, resync };
    static constexpr int max_looks = 64; // In one step.

    Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern, Hearing hearing,
            Wake wake);
    bool may_hear(const Name& name, const Object& object) const;
    bool sees(const Name& name, const Object& object) const;
    bool has_reached(const Name& name) const;
    void note(const Name& name, bool was_there, bool is_deletion);
    // Whether it saw the object before, and does now.
    void note_sight(const Name& name, bool saw, bool sees);
    std::optional<News> next_present();
    std::optional<News> next_change();
    News tell(Change change, std::optional<Name> name = {});

    Monitors& monitors_;
    Peer peer_;
    Quota::Charge charge_;
    Pattern pattern_;
    Hearing hearing_;
    Wake wake_;
    std::int64_t sequence_ = 0;
    Phase phase_ = Phase::present;
    std::optional<Name> cursor_; // The last name told of as present.
    std::optional<Name> reach_;  // The same when first it was told; up to there it is watched.
    bool reaches_all_ = false;
    std::map<Name, Untold> untold_;
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
                                   Hearing hearing, Monitor::Wake wake);
    // Whether one of them wants to hear when this event is set or cleared.
    bool care_for(const Name& name, const Object& object) const;

    // News from the registry.
    void created(const Name& name, Object& object);
    void changed(const Name& name, const Object& object); // Set, cleared, pulsed.
    void altered(const Name& name, Object& object, const Ownership& before);
    void deleted(const Name& name, const Ownership& before);
    void policy_changed(const Policy& before);
    // More wait for it than before, or follow it, or fewer. Told in a later turn, so that who comes
    // and goes many times is told of once.
    void attended(const Name& name);

private:
    friend class Monitor;
    Result<void> watch(const Name& name, Object& object);
    void watch_or_tell(const Name& name, Object& object);
    // What was watched for a monitor that has ended need not be any more; a part of it in each
    // turn.
    void sweep_later();
    void sweep();
    void tell_attendance();

    EventLoop& loop_;
    Registry& registry_;
    std::set<Monitor*> monitors_;
    bool is_sweeping_ = false;          // In this turn or the next.
    bool sweeps_again_ = false;         // From the beginning: another one has ended meanwhile.
    std::optional<Name> swept_;         // Up to here.
    std::int64_t attentive_ = 0;        // Those who hear of attendance.
    std::set<Name> attended_;           // To be told; if not empty, in the next turn.
    std::optional<Name> last_attended_; // Told of; then comes the next, so that each gets its turn.
};

} // namespace evfd::daemon
