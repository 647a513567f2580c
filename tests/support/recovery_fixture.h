// Functions for tests of recovery: a registry crashes, and a second registry recovers the state of
// the first registry.
#pragma once

#include "daemon/objects/recovery.h"
#include "tests/support/service_fixture.h"
#include "tests/support/timer_fixture.h"

#include <memory>
#include <string_view>
#include <utility>

namespace evfd::daemon {

inline std::unique_ptr<RegistryFixture> new_fixture()
{
    auto fixture = std::make_unique<RegistryFixture>();
    fixture->make_owner_resumable();
    return fixture;
}

inline std::unique_ptr<RegistryFixture>
commit_crash_and_restart(std::unique_ptr<RegistryFixture> fixture)
{
    fixture->state_store.commit();
    return crash_and_restart(std::move(fixture));
}

inline Object& object(RegistryFixture& fixture, std::string_view name)
{
    auto* found = fixture.registry.objects.find(*Name::parse(name));
    REQUIRE(found);
    return *found;
}

inline std::uint64_t tokens(RegistryFixture& fixture, std::string_view name)
{
    const auto tokens = fixture.event(name).count();
    REQUIRE(tokens);
    return *tokens;
}

inline void set(RegistryFixture& fixture, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({name}, tokens)));
}

struct Subscriber {
    Token token;
    UniqueFd fd;
};

inline Subscriber subscribe(RegistryFixture& fixture, Session& session, std::string_view name)
{
    auto opened = fixture.registry.open(session, names({name}));
    REQUIRE(opened);
    auto& one = opened->front();
    REQUIRE(one.subscription);
    REQUIRE(one.file_descriptor);
    return {*Token::parse(*one.subscription), received_copy(*one.file_descriptor)};
}

inline Subscriber subscribe(RegistryFixture& fixture, std::string_view name)
{
    return subscribe(fixture, fixture.owner, name);
}

inline void arm(RegistryFixture& fixture, protocol::Arm request)
{
    REQUIRE(fixture.registry.arm(fixture.owner, request));
}

// Returns the record of an event that belongs to no session.
inline record::Object event_record(std::string_view name, Mode mode, uid_t owner = alice)
{
    return {.name = *Name::parse(name),
            .mode = mode,
            .owner = owner,
            .group = owner,
            .permissions = "0600"_permissions,
            .creator = 1,
            .created = WallTime{},
            .session = {},
            .timer = {}};
}

inline record::Object timer_record(std::string_view name, record::Timer timer)
{
    return {.name = *Name::parse(name),
            .mode = {},
            .owner = alice,
            .group = alice,
            .permissions = "0666"_permissions,
            .creator = 1,
            .created = WallTime{},
            .session = {},
            .timer = std::move(timer)};
}

inline record::Timer every_millisecond(Clock clock = Clock::monotonic)
{
    return {.clock = clock,
            .is_relative = false,
            .cancel_on_clock_change = clock == Clock::realtime,
            .was_in_past = false,
            .grid = clock,
            .first = 1ms,
            .interval = 1ms,
            .state = TimerState::armed,
            .wall_offset = {},
            .target = {}};
}

} // namespace evfd::daemon
