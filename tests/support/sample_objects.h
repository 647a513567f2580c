// Sample objects, as a monitor reports them.
#pragma once

#include "client/evfdctl/top/model.h"
#include "tests/support/literals.h"

#include <initializer_list>
#include <optional>
#include <utility>

namespace evfd {

inline protocol::Object event(Name name)
{
    return {.name = std::move(name),
            .id = {7},
            .kind = Kind::event,
            .mode = Mode::manual,
            .owner_uid = 4'000'000'000, // No user has this uid.
            .group_gid = 7,
            .creator_pid = 42,
            .created_at = {},
            .permissions = "0640"_permissions,
            .lifetime = Lifetime::permanent,
            .waits = 0,
            .is_set = false,
            .count = {},
            .large_count = {},
            .pulses = {},
            .subscribers = {},
            .timer = {}};
}

// Returns a timer that expires after the duration `left`. If `left` is empty, returns an expired
// timer.
inline protocol::Object timer(Name name, std::optional<nanoseconds> left)
{
    auto object = event(std::move(name));
    object.kind = Kind::timer;
    object.mode.reset();
    object.subscribers = 1;
    object.timer = protocol::Timer{.clock = Clock::monotonic,
                                   .state = left ? TimerState::armed : TimerState::expired,
                                   .moves_with_wall_clock = false,
                                   .next = left,
                                   .left = left,
                                   .interval = nanoseconds{0},
                                   .expirations = 0,
                                   .first_was_past = false,
                                   .cancel_on_clock_change = false,
                                   .sets = {},
                                   .is_target_deleted = {}};
    return object;
}

inline protocol::Monitor::Reply monitor_reply(Change change, const protocol::Object& object)
{
    return {1, change, object.name, object};
}

// Fills a table with objects, as if a monitor had reported the objects when the monotonic clock
// showed 1000 seconds.
inline void fill_table(top::Table& table, std::initializer_list<protocol::Object> objects)
{
    const top::Now now{MonotonicTime{std::chrono::seconds{1000}},
                       WallTime{nanoseconds{std::chrono::seconds{5000}}}};
    for (const auto& object : objects)
        table.apply(monitor_reply(Change::present, object), now);
    table.apply({1, Change::ready, {}, {}}, now);
}
inline top::Table table_of(std::initializer_list<protocol::Object> objects)
{
    top::Table table;
    fill_table(table, objects);
    return table;
}

} // namespace evfd
