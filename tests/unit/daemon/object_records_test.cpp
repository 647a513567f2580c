#include "daemon/objects/object_records.h"

#include "tests/support/registry_fixture.h"

namespace evfd::daemon {
namespace {

Object make(Quota& quota, Lifetime lifetime, std::uint64_t owner, Object::Body body)
{
    return {42,   Ownership{alice, bob, "0640"_permissions},        4711,           lifetime, owner,
            true, quota.charge_unchecked(alice, Resource::objects), std::move(body)};
}

record::Counters counters(std::int64_t pulses, std::int64_t backlog = 0)
{
    return {.expirations = {}, .backlog = backlog, .pulses = pulses};
}

TEST_CASE("the record of an object keeps its owner, its permissions and its lifetime")
{
    Quota quota{default_limits};
    const auto [lifetime, owner] = GENERATE(table<Lifetime, std::uint64_t>(
        {{Lifetime::permanent, 0}, {Lifetime::session, 7}, {Lifetime::process, 8}}));
    const auto object = make(quota, lifetime, owner, std::make_unique<Pulse>());

    const auto record = record_of("p"_name, object);

    CHECK(record.name == "p"_name);
    CHECK(record.mode == Mode::pulse);
    CHECK(record.created == object.created);
    CHECK(record.creator == 4711);
    const auto ownership = ownership_of(record);
    CHECK(ownership.owner == alice);
    CHECK(ownership.group == bob);
    CHECK(ownership.permissions == "0640"_permissions);
    CHECK(lifetime_of(record) == lifetime);
    CHECK(lifetime_owner_of(record) == owner);
    CHECK_FALSE(has_recorded_count(object));
}

TEST_CASE("a pulse keeps its count")
{
    Quota quota{default_limits};
    auto pulse = std::make_unique<Pulse>();
    pulse->set_pulses(5);
    const auto object = make(quota, Lifetime::permanent, 0, std::move(pulse));
    const auto record = record_of("p"_name, object);
    CHECK_FALSE(is_event(record));

    const auto body = body_of(record, counters(5, 4));

    REQUIRE(std::holds_alternative<std::unique_ptr<Pulse>>(body));
    CHECK(std::get<std::unique_ptr<Pulse>>(body)->pulses() == 5);
}

TEST_CASE("the record of an event has its number until it is opened, and then who opened it")
{
    Quota quota{default_limits};
    auto object = make(quota, Lifetime::permanent, 0, Event{Mode::semaphore, 3});
    auto& event = *object.event();
    auto record = record_of("e"_name, object);
    CHECK(is_event(record));
    CHECK(record.number == 3);
    CHECK_FALSE(record.opened_by);

    event.mirror(make_descriptor(event, quota));
    record = record_of("e"_name, object);
    CHECK(record.number == 3);
    CHECK(record.opened_by == alice);

    event.open();
    record = record_of("e"_name, object);
    CHECK_FALSE(record.number);
    CHECK(record.opened_by == alice);
}

TEST_CASE("a timer keeps its schedule and its target, of which the owner is the default armer")
{
    Quota quota{default_limits};
    const TimerSpec spec{.clock = Clock::monotonic,
                         .is_relative = true,
                         .cancel_on_clock_change = false,
                         .was_past = false,
                         .schedule = {.clock = Clock::monotonic, .first = 1h, .interval = 1min}};
    Timer::Target target{.event = "e"_name, .serial = 9, .armer = make_peer(bob)};
    target.backlog = 4;
    const auto object =
        make(quota, Lifetime::permanent, 0, std::make_unique<Timer>(spec, std::move(target)));
    REQUIRE(has_recorded_count(object));
    auto record = record_of("t"_name, object);
    CHECK_FALSE(is_event(record));
    const bool has_armer = GENERATE(true, false);
    REQUIRE(record.timer);
    REQUIRE(record.timer->target);
    if (!has_armer)
        record.timer->target->uid.reset();

    const auto body = body_of(record, counters(5, 4));

    REQUIRE(std::holds_alternative<std::unique_ptr<Timer>>(body));
    const auto& timer = *std::get<std::unique_ptr<Timer>>(body);
    CHECK(timer.spec().schedule.interval == 1min);
    REQUIRE(timer.target);
    CHECK(timer.target->event == "e"_name);
    CHECK(timer.target->backlog == 4);
    CHECK(timer.target->armer.uid == (has_armer ? bob : alice));
}

} // namespace
} // namespace evfd::daemon
