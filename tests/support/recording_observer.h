// A registry whose notifications a test checks one by one.
//
// RecordingObserver stands in for the waits and monitors of the daemon. It records each
// notification as text, "created e; edge e", until take_recorded() returns and forgets it.
// `has_observer` is its answer to is_observed(), so a test decides whether the registry keeps an
// event watched.
#pragma once

#include "tests/support/registry_fixture.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace evfd::daemon {

struct RecordingObserver : RegistryObserver {
    virtual ~RecordingObserver() = default;
    void on_created(const Name& name, Object&) override { record("created", name); }
    void on_edge(const Name& name, Object&) override { record("edge", name); }
    bool on_edges_delivered() override { return false; }
    void on_pulsed(const Name& name, Object&, std::int64_t times) override
    {
        pulses += times;
        record("pulsed", name);
    }
    void on_expired(const Name& name, Object&, std::int64_t times) override
    {
        expirations += times;
        record("expired", name);
    }
    void on_rearmed(const Name& name, Object&) override { record("rearmed", name); }
    void on_cancelled(const Name& name, Object&) override { record("cancelled", name); }
    void on_permissions_changed(const Name& name, Object&, const Ownership&) override
    {
        record("permissions", name);
    }
    void on_deleted(const Name& name, const Ownership&) override { record("deleted", name); }
    void on_interest_changed(const Name& name) override { record("interest", name); }
    bool is_observed(const Name&) const override { return has_observer; }

    std::string take_recorded() { return std::exchange(recorded, {}); }

    bool has_observer = true;
    std::int64_t pulses = 0;
    std::int64_t expirations = 0;

private:
    void record(std::string_view change, const Name& name)
    {
        recorded += (recorded.empty() ? "" : "; ") + std::string{change} + " " + name.text();
    }

    std::string recorded;
};

// A registry with a recording observer, and a session of alice and of bob.
struct ObservedRegistry : RecordingObserver {
    explicit ObservedRegistry(Limits limits = default_limits, std::int64_t budget = ample_budget)
        : quota{limits}, registry{loop, quota, *this, state_store, make_incrementer(), budget}
    {
    }

    // A deletion is reported once the registry no longer finds the name.
    void on_deleted(const Name& name, const Ownership& before) override
    {
        CHECK_FALSE(registry.find(name));
        RecordingObserver::on_deleted(name, before);
    }

    Outcome<Made> create(Session& creator, const protocol::CreateEvent& request)
    {
        return registry.create(creator, request);
    }
    Object& object(std::string_view name) { return *registry.find(*Name::parse(name)); }

    EventLoop loop;
    Quota quota;
    StateStore state_store{loop};
    Registry registry;
    Session session{1, make_peer(alice), {}, {}};
    Session other{2, make_peer(bob), {}, {}};
};

} // namespace evfd::daemon
