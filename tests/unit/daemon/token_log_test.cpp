// Tests how tokens are added, taken and returned, without a registry.
#include "daemon/objects/token_log.h"

#include "tests/support/registry_fixture.h"

#include <span>

namespace evfd::daemon {
namespace {

struct TokenLogFixture {
    Object& create(std::string_view name, Mode mode)
    {
        auto body = mode == Mode::pulse ? Object::Body{std::make_unique<Pulse>()}
                                        : Object::Body{Event{mode, 0}};
        const auto created = objects.try_emplace(
            *Name::parse(name), ids.next(), Ownership{alice, alice, "0600"_permissions}, 1,
            Lifetime::permanent, 0, true, quota.charge_unchecked(alice, Resource::objects),
            std::move(body));
        REQUIRE(created.second);
        return created.first->second;
    }
    // Makes the counter of the object an eventfd, as Opening does.
    void open(Object& object)
    {
        auto& event = *object.event();
        event.mirror(make_descriptor(event, quota));
        event.open();
    }
    Increment increment(std::string_view name, std::int64_t amount)
    {
        const auto found = objects.find(*Name::parse(name));
        REQUIRE(found != objects.end());
        return {&found->first, &found->second, amount};
    }
    std::uint64_t count(std::string_view name)
    {
        return *objects.at(*Name::parse(name)).event()->count();
    }
    void return_one(std::string_view name, std::uint64_t serial)
    {
        const TakenTokens taken{.tokens = {{*Name::parse(name), serial}}};
        tokens.return_tokens(std::span{&taken, 1});
    }

    EventLoop loop;
    Quota quota{default_limits};
    StateStore state_store{loop};
    IdSequence ids{state_store};
    Objects objects;
    std::vector<std::size_t> begun; // The number of increments in each call of on_begun.
    TokenLog tokens{
        loop, state_store, ids, objects, make_incrementer(), [this](const Increments& increments) {
            begun.push_back(increments.size());
        }};
};

TEST_CASE("increments reach all events, opened or not")
{
    TokenLogFixture fixture;
    const bool is_opened = GENERATE(false, true);
    for (const auto mode : {Mode::manual, Mode::automatic, Mode::semaphore}) {
        auto& object = fixture.create(to_string(mode), mode);
        if (is_opened)
            fixture.open(object);
    }

    const auto pulsed =
        fixture.tokens.add({fixture.increment("manual", 20), fixture.increment("auto", 20),
                            fixture.increment("semaphore", 20)});

    REQUIRE(pulsed);
    CHECK(pulsed->empty());
    CHECK(fixture.begun == std::vector<std::size_t>{3});
    CHECK(fixture.count("manual") == 1);
    CHECK(fixture.count("auto") == 1);
    CHECK(fixture.count("semaphore") == 20);
}

TEST_CASE("the pulses to report are returned once, with the slice that reports them")
{
    TokenLogFixture fixture;
    auto& pulse = *fixture.create("p", Mode::pulse).pulse();
    const auto subscriber =
        subscribe(pulse.subscriptions(), *Token::make(), Pulse::make_descriptor(), fixture.quota);
    auto first = fixture.increment("p", 2);
    first.reported_pulses = 0;
    auto last = fixture.increment("p", 3);
    last.reported_pulses = 5;

    const auto none = fixture.tokens.add({first});
    const auto five = fixture.tokens.add({last});

    REQUIRE(none);
    CHECK(none->empty());
    REQUIRE(five);
    REQUIRE(five->size() == 1);
    CHECK(five->front().name->text() == "p");
    CHECK(five->front().tokens == 5);
    CHECK(pulse.pulses() == 5);
    CHECK(count(subscriber) == 5U);
}

TEST_CASE("a taken token returns to its event, and not to another one of its name")
{
    TokenLogFixture fixture;
    auto& semaphore = fixture.create("s", Mode::semaphore);
    const auto serial = semaphore.serial;
    REQUIRE(fixture.tokens.add({fixture.increment("s", 1)}));
    CHECK(fixture.tokens.take(semaphore) == true);
    CHECK(fixture.tokens.take(semaphore) == false);

    fixture.return_one("s", serial);
    CHECK(fixture.count("s") == 1);

    fixture.objects.clear();
    fixture.create("s", Mode::semaphore);
    fixture.return_one("s", serial);
    CHECK(fixture.count("s") == 0);
}

TEST_CASE("no token returns to a pulse")
{
    TokenLogFixture fixture;
    auto& object = fixture.create("p", Mode::pulse);
    fixture.return_one("p", object.serial);
    CHECK(object.pulse()->pulses() == 0);
    CHECK(fixture.begun.empty());
}

TEST_CASE("an intent without pending increments is not made again")
{
    TokenLogFixture fixture;
    auto& object = fixture.create("s", Mode::semaphore);
    fixture.open(object);
    CHECK(fixture.tokens.redo({{nullptr, &object, 5}}).empty());
    CHECK(fixture.count("s") == 0);
}

TEST_CASE("sets and takes of numbers commit nothing until the end of the iteration")
{
    TokenLogFixture fixture;
    auto& object = fixture.create("s", Mode::semaphore);
    const auto commit = fixture.state_store.last_commit();
    REQUIRE(fixture.tokens.add({fixture.increment("s", max_tokens_per_set)}));
    CHECK(fixture.tokens.take(object) == true);
    CHECK(fixture.state_store.last_commit() == commit);
    CHECK(fixture.count("s") == static_cast<std::uint64_t>(max_tokens_per_set) - 1);
    REQUIRE(fixture.loop.run_once(0ns));
    CHECK(fixture.state_store.last_commit() == commit + 1);
}

TEST_CASE("a mirror gets tokens only after a commit")
{
    TokenLogFixture fixture;
    auto& event = *fixture.create("s", Mode::semaphore).event();
    event.mirror(make_descriptor(event, fixture.quota));
    const auto commit = fixture.state_store.last_commit();
    REQUIRE(fixture.tokens.add({fixture.increment("s", 3)}));
    CHECK(fixture.state_store.last_commit() == commit + 1);
    CHECK(fixture.count("s") == 3);
    CHECK(count(event.fd()) == 3U);
}

} // namespace
} // namespace evfd::daemon
