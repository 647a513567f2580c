// Tests the recovery of objects, sessions and subscriptions, and the warnings about lost objects.
#include "tests/support/probe.h"
#include "tests/support/recovery_fixture.h"
#include "tests/support/resource_limits.h"

#include <unistd.h>

namespace evfd::daemon {
namespace {

// The tests below are about objects.

TEST_CASE("events of every mode are recovered as the same kernel objects")
{
    auto fixture = new_fixture();
    fixture->create("m", Mode::manual, 1, "0604"_permissions);
    fixture->create("a", Mode::automatic);
    fixture->create("s", Mode::semaphore, 7);
    fixture->create("p", Mode::pulse);
    set(*fixture, "p", 3);
    const auto m = fixture->open("m");
    const auto a = fixture->open("a");
    const auto s = fixture->open("s");
    const auto created = object(*fixture, "m").created;
    const auto serial = object(*fixture, "s").serial;

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(fixture->recovered.warnings.empty());
    REQUIRE(fixture->registry.objects.all().size() == 4);
    CHECK(object(*fixture, "m").mode() == Mode::manual);
    CHECK(object(*fixture, "a").mode() == Mode::automatic);
    CHECK(object(*fixture, "s").mode() == Mode::semaphore);
    CHECK(object(*fixture, "p").mode() == Mode::pulse);
    CHECK(object(*fixture, "m").ownership.permissions == "0604"_permissions);
    CHECK(object(*fixture, "m").ownership.owner == alice);
    CHECK(object(*fixture, "m").creator == 4711);
    CHECK(object(*fixture, "m").created == created);
    CHECK(object(*fixture, "s").serial == serial);
    CHECK(object(*fixture, "p").pulse()->pulses() == 3);
    CHECK(tokens(*fixture, "m") == 1);
    CHECK(tokens(*fixture, "s") == 7);
    REQUIRE(add(a, 1));
    CHECK(fixture->event("a").is_set());
    REQUIRE(add(s, 2));
    CHECK(tokens(*fixture, "s") == 9);
    REQUIRE(fixture->registry.clear(fixture->owner.peer, names({"m"})));
    CHECK_FALSE(is_readable(m));
    CHECK(fixture->quota.used(alice, Resource::objects) == 4);
}

TEST_CASE("repeated recovery changes nothing")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 7);
    set(*fixture, "s", 20);
    for (int i = 0; i < 4; ++i) {
        fixture = commit_crash_and_restart(std::move(fixture));
        CHECK(tokens(*fixture, "s") == 27);
    }
}

TEST_CASE("changes after a restart survive the next restart")
{
    auto fixture = new_fixture();
    fixture->create("deleted");
    fixture->create("stays");
    fixture = commit_crash_and_restart(std::move(fixture));
    REQUIRE(fixture->registry.delete_objects(fixture->owner.peer, names({"deleted"})));
    REQUIRE(
        fixture->registry.set_permissions(fixture->owner.peer, "stays"_name, "0600"_permissions));
    fixture->create("new", Mode::semaphore, 2);
    const auto serial = object(*fixture, "new").serial;
    CHECK(serial > object(*fixture, "stays").serial);
    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK_FALSE(fixture->registry.objects.find("deleted"_name));
    CHECK(object(*fixture, "stays").ownership.permissions == "0600"_permissions);
    CHECK(tokens(*fixture, "new") == 2);
    CHECK(fixture->quota.used(alice, Resource::objects) == 2);
}

TEST_CASE("a name that was deleted and created again is the later object")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::semaphore, 1);
    REQUIRE(fixture->registry.delete_objects(fixture->owner.peer, names({"e"})));
    fixture->create("e", Mode::semaphore, 2);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "e") == 2);
}

TEST_CASE("the id of a timer's target is never reused")
{
    auto fixture = new_fixture();
    arm(*fixture, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    fixture->create("before", Mode::pulse);
    fixture->create("between", Mode::pulse);
    fixture->create("p", Mode::pulse);
    const auto serial = object(*fixture, "p").serial;
    arm(*fixture, {.name = "t"_name, .after = 1h, .sets = "p"_name});
    REQUIRE(
        fixture->registry.delete_objects(fixture->owner.peer, names({"before", "between", "p"})));
    fixture = commit_crash_and_restart(std::move(fixture));
    for (int i = 0; i < 5; ++i) {
        fixture->create("p" + std::to_string(i), Mode::pulse);
        CHECK(object(*fixture, "p" + std::to_string(i)).serial != serial);
    }
}

TEST_CASE("a record without its descriptor is dropped, and a later object of its name is intact")
{
    auto fixture = new_fixture();
    fixture->create("lost");
    fixture->create("persistent");
    fixture->open("lost");
    // From now on the stash does not have the eventfd.
    fixture->event("lost") =
        Event{Mode::manual, make_descriptor(Event{Mode::manual, 0}, fixture->quota)};
    // Adds and deletes objects until a compaction drops the descriptor of "lost" from the stash.
    for (int i = 0; i < 1'000; ++i) {
        fixture->create("e");
        fixture->open("e");
        fixture->state_store.commit();
        REQUIRE(fixture->registry.delete_objects(fixture->owner.peer, names({"e"})));
        fixture->state_store.commit();
    }
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK_FALSE(fixture->registry.objects.find("lost"_name));
    CHECK(fixture->registry.objects.find("persistent"_name));
    fixture->create("lost", Mode::semaphore, 4);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "lost") == 4);
}

TEST_CASE("a descriptor without a record is removed from the stash")
{
    auto fixture = new_fixture();
    const auto unrecorded = fixture->state_store.store_fd(4'000, *make_eventfd(0, Counter::plain));
    REQUIRE(unrecorded);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->state_store.stored_fds() == 0);
    fixture->create("e");
    CHECK(object(*fixture, "e").serial > 4'000);
}

TEST_CASE("the later of two objects of one name is recovered")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::semaphore, 1);
    const auto id = fixture->registry.ids.next();
    const auto other = fixture->state_store.store_fd(id, *make_eventfd(5, Counter::semaphore));
    REQUIRE(other);
    fixture->state_store.put(id, event_record("e", Mode::semaphore, bob));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "e") == 5);
    CHECK(fixture->quota.used(alice, Resource::objects) == 0);
    CHECK(fixture->quota.used(bob, Resource::objects) == 1);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "e") == 5);
    CHECK(fixture->state_store.stored_fds() == 1);
}

// Only one of several objects with the same name is recovered and uses a descriptor.
TEST_CASE("dropped duplicates of a name use no descriptor of the budget")
{
    StateStore::Descriptors stored;
    {
        auto fixture = new_fixture();
        std::vector<Result<FdStash::Stored>> eventfds;
        for (int i = 0; i < 5; ++i) {
            const auto id = fixture->registry.ids.next();
            eventfds.push_back(fixture->state_store.store_fd(id, *make_eventfd(0, Counter::plain)));
            REQUIRE(eventfds.back());
            fixture->state_store.put(id, event_record("e", Mode::manual));
        }
        fixture->state_store.commit();
        stored = crash(std::move(fixture));
    }
    EventLoop loop;
    Quota quota{default_limits};
    RecoveredState recovered;
    StateStore state_store{loop, std::move(stored), recovered};
    // The budget has one descriptor more than the recovered event needs.
    Registry registry{loop, quota, state_store, make_incrementer(), 2, [] { return false; }};
    (void)Recovery{registry, quota, recovered}.run();
    Session session{registry.ids.next(), make_peer(alice), {}, {}};
    CHECK(verdict(registry.lifetimes.create({session}, {.name = "f"_name})) == "ok");
    CHECK(verdict(registry.opening.open(session, names({"f"}))) == "ok");
}

TEST_CASE("a temporary object is recovered with its session and deleted with it")
{
    auto fixture = new_fixture();
    REQUIRE(fixture->registry.create(fixture->owner,
                                     {.name = "mine"_name, .lifetime = Lifetime::session}));
    Session orphaned{fixture->registry.ids.next(), make_peer(bob), {}, {}};
    REQUIRE(fixture->registry.create(orphaned,
                                     {.name = "uncounted"_name, .lifetime = Lifetime::session}));
    fixture->finish_call("the answer");
    const auto token = fixture->owner.token;

    fixture = commit_crash_and_restart(std::move(fixture));
    REQUIRE(fixture->sessions.size() == 1);
    auto& session = fixture->sessions.front();
    CHECK(session.token == token);
    CHECK(session.slot.sequence == 1);
    CHECK(session.slot.cached_reply == "the answer");
    CHECK(session.peer.uid == alice);
    CHECK(fixture->registry.objects.find("mine"_name));
    CHECK_FALSE(fixture->registry.objects.find("uncounted"_name));

    fixture->registry.end(session);
    CHECK_FALSE(fixture->registry.objects.find("mine"_name));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->sessions.empty());
    CHECK(fixture->registry.objects.all().empty());
    CHECK(fixture->state_store.stored_fds() == 0);
    CHECK(fixture->quota.used_by_all(Resource::objects) == 0);
}

TEST_CASE("a temporary object without its session is dropped")
{
    auto fixture = new_fixture();
    REQUIRE(fixture->registry.create(fixture->owner,
                                     {.name = "mine"_name, .lifetime = Lifetime::session}));
    // The session is not recorded, because the test does not call finish_call().
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->registry.objects.all().empty());
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->state_store.stored_fds() == 0);
}

TEST_CASE("a session with an unreadable token is dropped, also for the next daemon")
{
    auto fixture = new_fixture();
    fixture->create("e");
    fixture->state_store.put(fixture->registry.ids.next(), record::Session{.token = "no token",
                                                                           .uid = alice,
                                                                           .sequence = 1,
                                                                           .cached_reply = "{}",
                                                                           .new_subscriptions = {},
                                                                           .tokens_applied = {}});
    fixture = commit_crash_and_restart(std::move(fixture));
    REQUIRE(fixture->recovered.warnings.size() == 1);
    CHECK(fixture->recovered.warnings[0].contains("its token is invalid"));
    CHECK(fixture->sessions.empty());
    CHECK(fixture->registry.objects.find("e"_name));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->recovered.warnings.empty());
}

// Recovers events while the limit of descriptors is too low to recover all of them, and then again
// without this limit. Returns 0 or the number of the failed expectation.
int recover_with_few_descriptors()
{
    // Closes all inherited descriptors, so that new descriptors have consecutive numbers.
    ::close_range(3, ~0U, 0);
    constexpr std::size_t all = 300;
    auto fixture = new_fixture();
    for (std::size_t i = 0; i < all; ++i) {
        const auto name = "e/" + std::to_string(i);
        fixture->create(name, Mode::semaphore, 1);
        fixture->open(name);
    }
    fixture->state_store.commit();
    auto stored = crash(std::move(fixture));
    {
        const auto next = *duplicate(stored[0]);
        const DescriptorLimit limit{static_cast<rlim_t>(next.get()) + 150};
        fixture = std::make_unique<RegistryFixture>(std::move(stored));
        const auto object_count = fixture->registry.objects.all().size();
        if (object_count == 0 || object_count >= all)
            return 1;
        // There is one warning for the unread descriptors and one for each lost event.
        const auto& warnings = fixture->recovered.warnings;
        if (warnings.size() != 1 + all - object_count)
            return 2;
        if (!warnings[0].contains("stashed descriptors cannot be received") ||
            !warnings[0].contains("RLIMIT_NOFILE"))
            return 3;
        stored = crash(std::move(fixture));
    }
    fixture = std::make_unique<RegistryFixture>(std::move(stored));
    if (!fixture->recovered.warnings.empty() || fixture->registry.objects.all().size() != all)
        return 4;
    for (const auto& [name, object] : fixture->registry.objects.all())
        if (std::get<Event>(object.body).count() != 1U)
            return 5;
    return 0;
}

TEST_CASE("objects beyond the descriptor limit stay stored for the next daemon", "[alone]")
{
    CHECK(probe::in_child([] {
              try {
                  return recover_with_few_descriptors();
              } catch (...) {
                  return 99;
              }
          }) == 0);
}

// The tests below are about subscriptions.

TEST_CASE("an orphaned subscription does not remove the descriptor of an object")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 2);
    fixture->open("s");
    const auto id = object(*fixture, "s").serial;
    fixture->state_store.put(id, record::Subscription{std::string{Token::make()->text()},
                                                      static_cast<record::Id>(id),
                                                      static_cast<record::Id>(fixture->owner.id)});
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->state_store.stored_fds() == 1);
    CHECK(tokens(*fixture, "s") == 2);
}

TEST_CASE("a pulse reaches descriptors that an earlier daemon passed")
{
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    const auto client = subscribe(*fixture, "p");
    const auto other = subscribe(*fixture, "p");
    set(*fixture, "p", 2);
    fixture->finish_call();

    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(object(*fixture, "p").subscriptions()->size() == 2);
    CHECK(fixture->quota.used(alice, Resource::subscriptions) == 2);
    CHECK(count(client.fd) == 2U);
    set(*fixture, "p", 3);
    CHECK(count(client.fd) == 5U);
    CHECK(count(other.fd) == 5U);

    auto& session = fixture->sessions.front();
    CHECK(session.subscriptions.size() == 2);
    CHECK(fixture->registry.unsubscribe(session, client.token));
    set(*fixture, "p");
    CHECK(count(client.fd) == 5U);
    CHECK(count(other.fd) == 6U);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(object(*fixture, "p").subscriptions()->size() == 1);
    CHECK(fixture->state_store.stored_fds() == 1);
}

TEST_CASE("a subscription of a session without a reply cache is not recovered")
{
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    Session orphaned{fixture->registry.ids.next(), make_peer(bob), {}, {}};
    const auto lost = subscribe(*fixture, orphaned, "p");
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(object(*fixture, "p").subscriptions()->size() == 0);
    CHECK(fixture->quota.used(bob, Resource::subscriptions) == 0);
}

TEST_CASE("an armed timer reaches descriptors that an earlier daemon passed")
{
    auto fixture = new_fixture();
    arm(*fixture, {.name = "t"_name, .clock = Clock::monotonic, .after = 1h});
    const auto client = subscribe(*fixture, "t");
    fixture->finish_call();
    fixture = commit_crash_and_restart(std::move(fixture));

    REQUIRE(fixture->registry.disarm(fixture->owner.peer, names({"t"})));
    const auto setting = current_setting(client.fd);
    REQUIRE(setting);
    CHECK(setting->first == 0ns);
}

} // namespace
} // namespace evfd::daemon
