// Tests the recovery from records that no daemon writes, and from descriptors of the wrong kind.
#include "tests/support/recovery_fixture.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <cstdint>
#include <limits>

namespace evfd::daemon {
namespace {

using namespace std::string_view_literals;

TEST_CASE("numbers outside of what a daemon writes are rejected")
{
    const auto [what, corrupt] =
        GENERATE(table<std::string, void (*)(record::Object&, record::Counters&)>({
            {"backlog above the maximum", [](auto&, auto& p) { p.backlog = INT64_MAX; }},
            {"negative backlog", [](auto&, auto& p) { p.backlog = INT64_MIN; }},
            {"expirations above the maximum", [](auto&, auto& p) { p.expirations = INT64_MAX; }},
            {"negative expirations", [](auto&, auto& p) { p.expirations = INT64_MIN; }},
            {"pulses above the maximum", [](auto&, auto& p) { p.pulses = INT64_MAX; }},
            {"owner without a uid", [](auto& o, auto&) { o.owner = -1; }},
            {"group without a gid", [](auto& o, auto&) { o.group = INT64_MAX; }},
            {"target without a uid", [](auto& o, auto&) { o.timer->target->uid = -1; }},
            {"target without a gid", [](auto& o, auto&) { o.timer->target->gid = INT64_MAX; }},
            {"target with an invalid group",
             [](auto& o, auto&) { o.timer->target->groups = {1, -1}; }},
            {"no first expiration", [](auto& o, auto&) { o.timer->first = 0ns; }},
            {"wall offset below the minimum",
             [](auto& o, auto&) { o.timer->wall_offset = INT64_MIN; }},
        }));
    CAPTURE(what);
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    const auto id = fixture->registry.ids.next();
    auto object = timer_record("t", every_millisecond(Clock::realtime));
    object.timer->target = record::Target{
        "p"_name, static_cast<record::Id>(evfd::daemon::object(*fixture, "p").serial), false};
    record::Counters progress{.expirations = 0, .backlog = 0, .pulses = 0};
    corrupt(object, progress);
    fixture->state_store.put(id, object);
    fixture->state_store.put(id, progress);

    fixture = commit_crash_and_restart(std::move(fixture));
    run_until_idle(fixture->loop);

    CHECK(fixture->recovered.warnings ==
          std::vector<std::string>{"1 records cannot be decoded: their contents "
                                   "are lost"});
}

TEST_CASE("a recovered timer that targets itself or another timer sets nothing")
{
    const auto* sets = GENERATE("t", "u");
    auto fixture = new_fixture();
    arm(*fixture, {.name = "u"_name, .after = 1h});
    const auto id = fixture->registry.ids.next();
    auto record = timer_record("t", every_millisecond());
    const auto serial = sets == "t"sv ? id : object(*fixture, "u").serial;
    record.timer->target =
        record::Target{*Name::parse(sets), static_cast<record::Id>(serial), false};
    fixture->state_store.put(id, record);
    fixture->state_store.put(id, record::Counters{.expirations = 0, .backlog = 5, .pulses = 0});

    fixture = commit_crash_and_restart(std::move(fixture));
    run_until_idle(fixture->loop);

    CHECK(object(*fixture, "t").timer()->target->is_gone);
}

TEST_CASE("the first of two subscriptions with one token is recovered")
{
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    const auto subscriber = subscribe(*fixture, "p");
    fixture->finish_call();
    const auto id = fixture->registry.ids.next();
    const auto other = fixture->state_store.store_fd(id, *make_eventfd(0, Counter::plain));
    REQUIRE(other);
    fixture->state_store.put(
        id, record::Subscription{std::string{subscriber.token.text()},
                                 static_cast<record::Id>(object(*fixture, "p").serial),
                                 static_cast<record::Id>(fixture->owner.id)});

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(object(*fixture, "p").subscriptions()->size() == 1);
    CHECK(fixture->state_store.stored_fds() == 1);
    set(*fixture, "p");
    CHECK(count(subscriber.fd) == 1U);
}

TEST_CASE("the earlier of two sessions with one token is recovered, and the other is logged")
{
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    subscribe(*fixture, "p");
    fixture->finish_call("the answer");
    const auto id = fixture->registry.ids.next();
    fixture->state_store.put(
        id, record::Session{std::string{fixture->owner.token->text()}, bob, 7, {}, {}, {}});
    fixture->state_store.put(fixture->registry.ids.next(),
                             record::TakenTokens{static_cast<record::Id>(id), 7, {}});
    const auto first = fixture->owner.id;

    fixture = commit_crash_and_restart(std::move(fixture));

    REQUIRE(fixture->sessions.size() == 1);
    CHECK(fixture->sessions[0].id == first);
    CHECK(fixture->sessions[0].slot.sequence == 1);
    CHECK(fixture->sessions[0].subscriptions.size() == 1);
    CHECK(fixture->recovered.warnings == std::vector{"a session (" + std::to_string(id) +
                                                     ") is lost: its token is already in use"});
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->sessions.size() == 1);
    CHECK(fixture->recovered.warnings.empty());
}

TEST_CASE("ids continue below an id that no daemon reaches, and are not reused")
{
    constexpr std::uint64_t highest = max_object_id;
    auto fixture = new_fixture();
    fixture->create("first", Mode::pulse);
    const auto first = object(*fixture, "first").serial;
    const auto stored =
        fixture->state_store.store_fd(highest, *make_eventfd(5, Counter::semaphore));
    REQUIRE(stored);
    fixture->state_store.put(highest, event_record("last", Mode::semaphore));

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(tokens(*fixture, "last") == 5);
    CHECK(fixture->recovered.warnings.size() == 1);
    for (const auto* name : {"a", "b", "c"}) {
        fixture->create(name, Mode::semaphore, 1);
        CHECK(object(*fixture, name).serial > first);
    }
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->registry.objects.all().size() == 5);
    CHECK(tokens(*fixture, "last") == 5);
    CHECK(tokens(*fixture, "c") == 1);
}

UniqueFd make_fd(std::string_view what)
{
    if (what == "an eventfd")
        return *make_eventfd(0, Counter::plain);
    if (what == "a timerfd")
        return *make_timerfd(Clock::monotonic);
    if (what == "an epoll")
        return UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
    return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
}

TEST_CASE("an event with a foreign descriptor is dropped and logged")
{
    const auto* what = GENERATE("a timerfd", "an epoll", "a device");
    CAPTURE(what);
    auto fixture = new_fixture();
    fixture->create("persistent", Mode::semaphore, 3);
    const auto id = fixture->registry.ids.next();
    const auto stored = fixture->state_store.store_fd(id, make_fd(what));
    REQUIRE(stored);
    fixture->state_store.put(id, event_record("e", Mode::manual));

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK_FALSE(fixture->registry.objects.find("e"_name));
    CHECK(tokens(*fixture, "persistent") == 3);
    CHECK(fixture->quota.used(alice, Resource::objects) == 1);
    CHECK(fixture->state_store.stored_fds() == 0);
    CHECK(fixture->recovered.warnings ==
          std::vector{"event 'e' of uid 2001 is lost: its descriptor in the stash is of "
                      "another type"s});
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->recovered.warnings.empty());
    CHECK(fixture->registry.objects.all().size() == 1);
}

TEST_CASE("a subscription with a foreign descriptor is dropped and logged")
{
    const auto [subscribed_name, what] = GENERATE(table<const char*, const char*>({
        {"p", "a timerfd"},
        {"p", "a device"},
        {"t", "an eventfd"},
        {"t", "an epoll"},
    }));
    CAPTURE(subscribed_name, what);
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    arm(*fixture, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    subscribe(*fixture, "p");
    fixture->finish_call();
    const auto id = fixture->registry.ids.next();
    const auto stored = fixture->state_store.store_fd(id, make_fd(what));
    REQUIRE(stored);
    fixture->state_store.put(
        id, record::Subscription{std::string{Token::make()->text()},
                                 static_cast<record::Id>(object(*fixture, subscribed_name).serial),
                                 static_cast<record::Id>(fixture->owner.id)});

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(object(*fixture, "p").subscriptions()->size() == 1);
    CHECK(object(*fixture, "t").subscriptions()->size() == 0);
    CHECK(fixture->state_store.stored_fds() == 1);
    CHECK(fixture->recovered.warnings ==
          std::vector{"a subscription (" + std::to_string(id) +
                      ") is lost: its descriptor in the stash is of another type"});
    set(*fixture, "p");
    run_until_idle(fixture->loop);
}

} // namespace
} // namespace evfd::daemon
