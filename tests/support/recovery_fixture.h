// Registries that are killed, and others that take over what they left.
#pragma once

#include "daemon/objects/recovery.h"
#include "tests/support/service_fixture.h"
#include "tests/support/timer_fixture.h"

#include <memory>
#include <string_view>
#include <utility>

namespace evfd::daemon {

inline std::unique_ptr<Hall> new_hall()
{
    auto hall = std::make_unique<Hall>();
    hall->count_calls_of_owner();
    return hall;
}

inline std::unique_ptr<Hall> killed_and_restarted(std::unique_ptr<Hall> hall)
{
    hall->vault.commit();
    return restarted(std::move(hall));
}

inline Object& object(Hall& hall, std::string_view name)
{
    auto* found = hall.registry.find(*Name::parse(name));
    REQUIRE(found);
    return *found;
}

inline std::uint64_t tokens(Hall& hall, std::string_view name)
{
    const auto tokens = hall.event(name).count();
    REQUIRE(tokens);
    return *tokens;
}

inline void set(Hall& hall, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(hall.registry.set(hall.owner.peer, names({name}), tokens));
}

struct Follower {
    Token token;
    UniqueFd fd;
};

inline Follower follow(Hall& hall, Session& session, std::string_view name)
{
    auto opened = hall.registry.open(session, names({name}));
    REQUIRE(opened);
    auto& one = opened->front();
    REQUIRE(one.subscription);
    REQUIRE(one.file_descriptor);
    return {*Token::parse(*one.subscription), as_received(*one.file_descriptor)};
}

inline Follower follow(Hall& hall, std::string_view name)
{
    return follow(hall, hall.owner, name);
}

inline void arm(Hall& hall, protocol::Arm request)
{
    REQUIRE(hall.registry.arm(hall.owner, request));
}

// Records.

// As a daemon has it of an event without a session.
inline record::Object event_record(std::string_view name, Mode mode, uid_t owner = alice)
{
    return {.name = *Name::parse(name),
            .mode = mode,
            .owner = owner,
            .group = owner,
            .rights = "0600"_rights,
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
            .rights = "0666"_rights,
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
            .was_past = false,
            .grid = clock,
            .first = 1ms,
            .interval = 1ms,
            .phase = TimerState::armed,
            .wall_offset = {},
            .link = {}};
}

} // namespace evfd::daemon
