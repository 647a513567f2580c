// What was there is there again, or told of.
#include "tests/support/probe.h"
#include "tests/support/recovery_fixture.h"
#include "tests/support/resource_limits.h"

#include <unistd.h>

namespace evfd::daemon {
namespace {

// Objects.

TEST_CASE("events of every mode are there again as the same kernel objects")
{
    auto hall = new_hall();
    hall->create("m", Mode::manual, 1, "0604"_rights);
    hall->create("a", Mode::automatic);
    hall->create("s", Mode::semaphore, 7);
    hall->create("p", Mode::pulse);
    set(*hall, "p", 3);
    const auto m = hall->open("m");
    const auto a = hall->open("a");
    const auto s = hall->open("s");
    const auto created = object(*hall, "m").created;
    const auto serial = object(*hall, "s").serial;

    hall = killed_and_restarted(std::move(hall));

    CHECK(hall->complaints.empty());
    REQUIRE(hall->registry.objects().size() == 4);
    CHECK(object(*hall, "m").mode() == Mode::manual);
    CHECK(object(*hall, "a").mode() == Mode::automatic);
    CHECK(object(*hall, "s").mode() == Mode::semaphore);
    CHECK(object(*hall, "p").mode() == Mode::pulse);
    CHECK(object(*hall, "m").ownership.rights == "0604"_rights);
    CHECK(object(*hall, "m").ownership.owner == alice);
    CHECK(object(*hall, "m").creator == 4711);
    CHECK(object(*hall, "m").created == created);
    CHECK(object(*hall, "s").serial == serial);
    CHECK(object(*hall, "p").pulse()->pulses() == 3);
    CHECK(tokens(*hall, "m") == 1);
    CHECK(tokens(*hall, "s") == 7);
    REQUIRE(add(a, 1));
    CHECK(hall->event("a").is_set());
    REQUIRE(add(s, 2));
    CHECK(tokens(*hall, "s") == 9);
    REQUIRE(hall->registry.clear(hall->owner.peer, names({"m"})));
    CHECK_FALSE(is_readable(m));
    CHECK(hall->quota.used(alice, Resource::objects) == 4);
}

TEST_CASE("restoring twice changes nothing")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 7);
    set(*hall, "s", 20);
    for (int i = 0; i < 4; ++i) {
        hall = killed_and_restarted(std::move(hall));
        CHECK(tokens(*hall, "s") == 27);
    }
}

TEST_CASE("what was deleted, changed or made after a restart is so after the next")
{
    auto hall = new_hall();
    hall->create("gone");
    hall->create("stays");
    hall = killed_and_restarted(std::move(hall));
    REQUIRE(hall->registry.remove(hall->owner.peer, names({"gone"})));
    REQUIRE(hall->registry.set_rights(hall->owner.peer, "stays"_name, "0600"_rights));
    hall->create("new", Mode::semaphore, 2);
    const auto serial = object(*hall, "new").serial;
    CHECK(serial > object(*hall, "stays").serial);
    hall = killed_and_restarted(std::move(hall));

    CHECK_FALSE(hall->registry.find("gone"_name));
    CHECK(object(*hall, "stays").ownership.rights == "0600"_rights);
    CHECK(tokens(*hall, "new") == 2);
    CHECK(hall->quota.used(alice, Resource::objects) == 2);
}

TEST_CASE("a name that was deleted and made again is the later object")
{
    auto hall = new_hall();
    hall->create("e", Mode::semaphore, 1);
    REQUIRE(hall->registry.remove(hall->owner.peer, names({"e"})));
    hall->create("e", Mode::semaphore, 2);
    hall = killed_and_restarted(std::move(hall));
    CHECK(tokens(*hall, "e") == 2);
}

TEST_CASE("an id that a timer speaks of is never given to another object")
{
    auto hall = new_hall();
    arm(*hall, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    hall->create("before", Mode::pulse);
    hall->create("between", Mode::pulse);
    hall->create("p", Mode::pulse);
    const auto serial = object(*hall, "p").serial;
    arm(*hall, {.name = "t"_name, .after = 1h, .sets = "p"_name});
    REQUIRE(hall->registry.remove(hall->owner.peer, names({"before", "between", "p"})));
    hall = killed_and_restarted(std::move(hall));
    for (int i = 0; i < 5; ++i) {
        hall->create("p" + std::to_string(i), Mode::pulse);
        CHECK(object(*hall, "p" + std::to_string(i)).serial != serial);
    }
}

TEST_CASE("a record without its descriptor is lost, and what has its name later is not harmed")
{
    auto hall = new_hall();
    hall->create("lost");
    hall->create("kept");
    hall->vault.unpark(object(*hall, "lost").serial);
    for (int i = 0; i < 1'000; ++i) { // Until it is dropped.
        hall->create("e");
        hall->vault.commit();
        REQUIRE(hall->registry.remove(hall->owner.peer, names({"e"})));
        hall->vault.commit();
    }
    hall = killed_and_restarted(std::move(hall));
    CHECK_FALSE(hall->registry.find("lost"_name));
    CHECK(hall->registry.find("kept"_name));
    hall->create("lost", Mode::semaphore, 4);
    hall = killed_and_restarted(std::move(hall));
    CHECK(tokens(*hall, "lost") == 4);
}

TEST_CASE("a descriptor without a record is parked no longer")
{
    auto hall = new_hall();
    const auto stray = *make_eventfd(0, Counter::plain);
    REQUIRE(hall->vault.park(4'000, stray));
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->vault.parked() == 0);
    hall->create("e");
    CHECK(object(*hall, "e").serial > 4'000);
}

TEST_CASE("of two objects of one name the later one counts")
{
    auto hall = new_hall();
    hall->create("e", Mode::semaphore, 1);
    const auto other = *make_eventfd(5, Counter::semaphore);
    const auto id = hall->registry.new_id();
    REQUIRE(hall->vault.park(id, other));
    hall->vault.put(id, event_record("e", Mode::semaphore, bob));
    hall = killed_and_restarted(std::move(hall));
    CHECK(tokens(*hall, "e") == 5);
    CHECK(hall->quota.used(alice, Resource::objects) == 0);
    CHECK(hall->quota.used(bob, Resource::objects) == 1);
    hall = killed_and_restarted(std::move(hall));
    CHECK(tokens(*hall, "e") == 5);
    CHECK(hall->vault.parked() == 1);
}

// Two objects of one name count as one descriptor.
TEST_CASE("who lost an object to a later one of its name still has as many descriptors to come")
{
    Vault::Descriptors kept;
    {
        auto hall = new_hall();
        for (int i = 0; i < 5; ++i) {
            const auto id = hall->registry.new_id();
            REQUIRE(hall->vault.park(id, *make_eventfd(0, Counter::plain)));
            hall->vault.put(id, event_record("e", Mode::manual));
        }
        hall->vault.commit();
        kept = killed(std::move(hall));
    }
    struct Nobody final : Audience {
        void created(const Name&, Object&) override {}
        void rang(const Name&, Object&) override {}
        bool heard() override { return false; }
        void pulsed(const Name&, Object&, std::int64_t) override {}
        void expired(const Name&, Object&, std::int64_t) override {}
        void rearmed(const Name&, Object&) override {}
        void cancelled(const Name&, Object&) override {}
        void altered(const Name&, Object&, const Ownership&) override {}
        void deleted(const Name&, const Ownership&) override {}
        void attended(const Name&) override {}
        bool cares_for(const Name&) const override { return false; }
    } nobody;
    EventLoop loop;
    Quota quota{default_limits};
    Left left;
    Vault vault{loop, std::move(kept), left};
    Registry registry{loop, quota, nobody, vault, make_adder(), 2}; // One more.
    registry.restore(left);
    Session session{registry.new_id(), person(alice), {}, {}};
    CHECK(verdict(registry.create(session, {.name = "f"_name})) == "ok");
}

TEST_CASE("a connection object of a session is there again with it and goes with it")
{
    auto hall = new_hall();
    REQUIRE(hall->registry.create(hall->owner,
                                  {.name = "mine"_name, .lifetime = Lifetime::connection}));
    Session nobodys{hall->registry.new_id(), person(bob), {}, {}};
    REQUIRE(hall->registry.create(nobodys,
                                  {.name = "uncounted"_name, .lifetime = Lifetime::connection}));
    hall->registry.count_call(hall->owner, "the answer");
    const auto token = hall->owner.count->token;

    hall = killed_and_restarted(std::move(hall));
    REQUIRE(hall->sessions.size() == 1);
    auto& session = hall->sessions.front();
    CHECK(session.count->token == token);
    CHECK(session.count->calls == 1);
    CHECK(session.count->reply == "the answer");
    CHECK(session.peer.uid == alice);
    CHECK(hall->registry.find("mine"_name));
    CHECK_FALSE(hall->registry.find("uncounted"_name));

    hall->registry.end(session);
    CHECK_FALSE(hall->registry.find("mine"_name));
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->sessions.empty());
    CHECK(hall->registry.objects().empty());
    CHECK(hall->vault.parked() == 0);
    CHECK(hall->quota.used_by_all(Resource::objects) == 0);
}

TEST_CASE("a connection object whose session is not known is lost")
{
    auto hall = new_hall();
    REQUIRE(hall->registry.create(hall->owner,
                                  {.name = "mine"_name, .lifetime = Lifetime::connection}));
    hall = killed_and_restarted(std::move(hall)); // No call was counted.
    CHECK(hall->registry.objects().empty());
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->vault.parked() == 0);
}

TEST_CASE("a session whose token cannot be read is lost, and the next daemon has forgotten it")
{
    auto hall = new_hall();
    hall->create("e");
    hall->vault.put(hall->registry.new_id(), record::Session{.token = "no token",
                                                             .uid = alice,
                                                             .calls = 1,
                                                             .reply = "{}",
                                                             .opened = {},
                                                             .given = {}});
    hall = killed_and_restarted(std::move(hall));
    REQUIRE(hall->left.complaints.size() == 1);
    CHECK(hall->left.complaints[0].contains("its token cannot be read"));
    CHECK(hall->sessions.empty());
    CHECK(hall->registry.find("e"_name));
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->left.complaints.empty());
}

// 0, or the number of the expectation that failed.
int restore_with_few_descriptors()
{
    ::close_range(3, ~0U, 0); // So that those of this test are all there are, without a gap.
    constexpr std::size_t all = 300;
    auto hall = new_hall();
    for (std::size_t i = 0; i < all; ++i)
        hall->create("e/" + std::to_string(i), Mode::semaphore, 1);
    hall->vault.commit();
    auto kept = killed(std::move(hall));
    {
        const auto next = *duplicate(kept[0]);
        const DescriptorLimit limit{static_cast<rlim_t>(next.get()) + 150};
        hall = std::make_unique<Hall>(std::move(kept));
        const auto there = hall->registry.objects().size();
        if (there == 0 || there >= all)
            return 1;
        const auto& told = hall->left.complaints; // One of what is unread, and one of each event.
        if (told.size() != 1 + all - there)
            return 2;
        if (!told[0].contains("parked descriptors cannot be taken over") ||
            !told[0].contains("RLIMIT_NOFILE"))
            return 3;
        kept = killed(std::move(hall));
    }
    hall = std::make_unique<Hall>(std::move(kept));
    if (!hall->left.complaints.empty() || hall->registry.objects().size() != all)
        return 4;
    for (const auto& [name, object] : hall->registry.objects())
        if (std::get<Event>(object.body).count() != 1U)
            return 5;
    return 0;
}

TEST_CASE("what a daemon with too few descriptors could not take over is there for the next",
          "[alone]")
{
    CHECK(probe::in_child([] {
              try {
                  return restore_with_few_descriptors();
              } catch (...) {
                  return 99;
              }
          }) == 0);
}

// Subscriptions.

TEST_CASE("a subscription that is no one's does not take an object's descriptor with it")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 2);
    const auto id = object(*hall, "s").serial;
    hall->vault.put(id, record::Subscription{Token::make()->text(), static_cast<record::Id>(id),
                                             static_cast<record::Id>(hall->owner.id)});
    hall = killed_and_restarted(std::move(hall));
    CHECK(hall->vault.parked() == 1);
    CHECK(tokens(*hall, "s") == 2);
}

TEST_CASE("a pulse reaches descriptors that an earlier daemon handed out")
{
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    const auto client = follow(*hall, "p");
    const auto other = follow(*hall, "p");
    set(*hall, "p", 2);
    hall->registry.count_call(hall->owner, {});

    hall = killed_and_restarted(std::move(hall));
    CHECK(object(*hall, "p").followers()->size() == 2);
    CHECK(hall->quota.used(alice, Resource::subscriptions) == 2);
    CHECK(count(client.fd) == 2U);
    set(*hall, "p", 3);
    CHECK(count(client.fd) == 5U);
    CHECK(count(other.fd) == 5U);

    auto& session = hall->sessions.front();
    CHECK(session.followings.size() == 2);
    CHECK(hall->registry.unsubscribe(session, client.token));
    set(*hall, "p");
    CHECK(count(client.fd) == 5U);
    CHECK(count(other.fd) == 6U);
    hall = killed_and_restarted(std::move(hall));
    CHECK(object(*hall, "p").followers()->size() == 1);
    CHECK(hall->vault.parked() == 1);
}

TEST_CASE("a subscription of a session that was not counted is not there again")
{
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    Session nobodys{hall->registry.new_id(), person(bob), {}, {}};
    const auto lost = follow(*hall, nobodys, "p");
    hall = killed_and_restarted(std::move(hall));
    CHECK(object(*hall, "p").followers()->size() == 0);
    CHECK(hall->quota.used(bob, Resource::subscriptions) == 0);
}

TEST_CASE("a timer that is armed anew reaches descriptors that an earlier daemon handed out")
{
    auto hall = new_hall();
    arm(*hall, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    const auto client = follow(*hall, "t");
    hall->registry.count_call(hall->owner, {});
    hall = killed_and_restarted(std::move(hall));

    REQUIRE(hall->registry.disarm(hall->owner.peer, names({"t"})));
    const auto setting = present_setting(client.fd);
    REQUIRE(setting);
    CHECK(setting->first == 0ns);
}

} // namespace
} // namespace evfd::daemon
