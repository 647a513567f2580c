// A registry whose changes a test checks one by one.
//
// An ObservedRegistry records its changes as text, such as "created e; edge e". take_recorded()
// returns the text and starts a new record. An object that a test passes to watch() stays watched
// until the test calls unwatch(). If `monitors_timers` is true, each new timer is monitored.
#pragma once

#include "tests/support/registry_fixture.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::daemon {

// A registry whose changes are recorded, with a session of alice and a session of bob.
struct ObservedRegistry {
    explicit ObservedRegistry(Limits limits = default_limits, std::int64_t budget = ample_budget)
        : quota{limits}, registry{loop,
                                  quota,
                                  state_store,
                                  make_incrementer(),
                                  budget,
                                  [this] { return deliver(); },
                                  [this] { record_changes(); }}
    {
    }
    virtual ~ObservedRegistry() = default;

    Outcome<Made> create(Session& creator, const protocol::CreateEvent& request)
    {
        return registry.create(creator, request);
    }
    // Opens the event for the session. Returns the duplicate of the eventfd that the client gets.
    UniqueFd open(std::string_view name)
    {
        const auto opened = registry.open(session, names({name}));
        REQUIRE(opened);
        return received_copy(*opened->front().file_descriptor);
    }
    Object& object(std::string_view name) { return *registry.objects.find(*Name::parse(name)); }
    Result<void> watch(std::string_view name, EdgeMask edges)
    {
        auto interest = registry.watches.watch(*Name::parse(name), object(name), edges);
        if (!interest)
            return std::unexpected(interest.error());
        record_changes();
        interests.push_back(*std::move(interest));
        return {};
    }
    void unwatch() { interests.clear(); }
    std::string take_recorded() { return std::exchange(recorded, {}); }

    bool monitors_timers = true;
    std::int64_t pulses = 0;
    std::int64_t expirations = 0;

    EventLoop loop;
    Quota quota;
    StateStore state_store{loop};
    DeliveringRegistry registry;
    std::vector<Interest> interests;
    Session session{1, make_peer(alice), {}, {}};
    Session other{2, make_peer(bob), {}, {}};

private:
    using Kind = ObjectChange::Kind;

    static std::string_view to_text(Kind kind)
    {
        switch (kind) {
        case Kind::created: return "created";
        case Kind::edge: return "edge";
        case Kind::taken: return "taken";
        case Kind::pulsed: return "pulsed";
        case Kind::expired: return "expired";
        case Kind::rearmed: return "rearmed";
        case Kind::cancelled: return "cancelled";
        case Kind::permissions: return "permissions";
        case Kind::subscribers: return "subscribers";
        case Kind::deleted: break;
        }
        return "deleted";
    }

    bool deliver()
    {
        registry.deliver_edges();
        return false;
    }
    void record_changes()
    {
        while (registry.objects.has_changes())
            for (const auto& change : registry.objects.take_changes())
                record(change);
    }
    void record(const ObjectChange& change)
    {
        const auto& name = change.object.name;
        pulses += change.kind == Kind::pulsed ? change.times : 0;
        expirations += change.kind == Kind::expired ? change.times : 0;
        recorded += (recorded.empty() ? "" : "; ") + std::string{to_text(change.kind)} + " " +
                    std::string{name.text()};
        auto* changed = registry.objects.find(change.object);
        // The object of a change must still exist, unless the change is the deletion of the object.
        CHECK((changed == nullptr) == (change.kind == Kind::deleted));
        if (change.kind != Kind::created)
            return;
        if (monitors_timers && changed->timer())
            REQUIRE(registry.watches.monitor(name, *changed));
        registry.watches.unwatch_if_unneeded(name, *changed);
    }

    std::string recorded;
};

} // namespace evfd::daemon
