#include "daemon/objects/registry.h"

#include "tests/support/observed_registry.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/resource_limits.h"

namespace evfd::daemon {
namespace {

TEST_CASE("an event is created as requested and is owned by the caller")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name,
                                             .mode = Mode::semaphore,
                                             .initial = protocol::InitialCount{3},
                                             .permissions = "0640"_permissions}) == Made::created);

    const auto& object = fixture.object("e");
    CHECK(object.mode() == Mode::semaphore);
    CHECK(std::get<Event>(object.body).count() == 3U);
    CHECK(object.ownership.owner == alice);
    CHECK(object.ownership.permissions == "0640"_permissions);
    CHECK(object.creator == 4711);
    CHECK(object.lifetime_owner == 0);
    CHECK(fixture.take_recorded() == "created e");
}

TEST_CASE("an event is manual, clear, permanent and open to all waiters by default")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name}));
    auto& object = fixture.object("e");
    CHECK(object.mode() == Mode::manual);
    CHECK_FALSE(object.event()->is_set());
    CHECK(object.ownership.permissions == "0644"_permissions);
    CHECK(object.lifetime_owner == 0);
}

TEST_CASE("an existing name is refused unless the caller accepts an event of the same mode")
{
    ObservedRegistry fixture;
    REQUIRE(
        fixture.create(fixture.session, {.name = "e"_name, .initial = protocol::InitialCount{1}}));
    fixture.take_recorded();

    CHECK(verdict(fixture.create(fixture.other, {.name = "e"_name})) == "NameTaken");
    CHECK(fixture.create(fixture.other, {.name = "e"_name, .if_missing = true}) == Made::existed);
    CHECK(verdict(fixture.create(
              fixture.other, {.name = "e"_name, .mode = Mode::automatic, .if_missing = true})) ==
          "WrongKind");
    CHECK(verdict(fixture.create(fixture.other, {.name = "e"_name, .mode = Mode::pulse})) ==
          "WrongKind");

    CHECK(fixture.object("e").event()->is_set());
    CHECK(fixture.quota.used(bob, Resource::objects) == 0);
    CHECK(fixture.take_recorded().empty());
}

TEST_CASE("a pulse has no initial count")
{
    ObservedRegistry fixture;
    const auto make = [&](std::int64_t initial) {
        return verdict(fixture.create(
            fixture.session,
            {.name = "p"_name, .mode = Mode::pulse, .initial = protocol::InitialCount{initial}}));
    };
    CHECK(make(1) == "InvalidParameter");
    CHECK(make(0) == "ok");
}

TEST_CASE(
    "the last object within a user's limit is created, and the next refused until one is deleted")
{
    auto limits = default_limits;
    limits.set(Resource::objects, 2);
    ObservedRegistry fixture{limits};
    REQUIRE(fixture.create(fixture.session, {.name = "a"_name}));
    REQUIRE(fixture.create(fixture.session, {.name = "b"_name, .mode = Mode::pulse}));

    CHECK(verdict(fixture.create(fixture.session, {.name = "c"_name})) == "QuotaExceeded");
    CHECK_FALSE(fixture.registry.objects.find("c"_name));
    CHECK(verdict(fixture.create(fixture.other, {.name = "c"_name})) == "ok");
    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"a"})));
    CHECK(verdict(fixture.create(fixture.session, {.name = "d"_name})) == "ok");
}

TEST_CASE("opened events and subscriptions share the descriptor budget")
{
    ObservedRegistry fixture{default_limits, 3};
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    for (const auto* name : {"a", "b", "c"})
        REQUIRE(fixture.create(fixture.session, {.name = *Name::parse(name)}));
    const auto open = [&](std::string_view name) {
        return verdict(fixture.registry.open(fixture.session, names({name})));
    };
    CHECK(open("a") == "ok");
    CHECK(open("p") == "ok");
    CHECK(open("b") == "ok");
    CHECK(open("b") == "ok"); // The event has its descriptor already.

    CHECK(open("c") == "OutOfDescriptors");
    CHECK(open("p") == "OutOfDescriptors");
    CHECK(fixture.object("c").event()->is_number());
    CHECK(fixture.quota.used(alice, Resource::opened_events) == 2);
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 1);

    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"a"})));
    CHECK(verdict(fixture.registry.open(fixture.session, names({"p"}))) == "ok");
}

TEST_CASE("the subscriptions of one user to a pulse leave room for other users and for Set")
{
    require_descriptors(20'000);
    auto limits = default_limits;
    limits.set(Resource::subscriptions, max_tokens_per_set);
    ObservedRegistry fixture{limits};
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    std::int64_t opened_count = 0;
    std::string refusal = "ok";
    for (; refusal == "ok"; ++opened_count) {
        const auto opened = fixture.registry.open(fixture.session, names({"p"}));
        refusal = verdict(opened);
    }
    CHECK(refusal == "QuotaExceeded");
    CHECK(opened_count > max_tokens_per_set / 2);
    CHECK(opened_count < max_tokens_per_set);
    CHECK(verdict(fixture.registry.open(fixture.other, names({"p"}))) == "ok");
    CHECK(verdict(fixture.registry.set(fixture.session.peer, set_items({"p"}, 1))) == "ok");
}

TEST_CASE("the descriptor that Open passes depends on the caller's access")
{
    const auto [mode, permissions, wait, set, has_fd, writable] =
        GENERATE(table<Mode, std::string, bool, bool, bool, bool>({
            {Mode::manual, "0006", true, true, true, true},
            {Mode::manual, "0004", true, false, true, false},
            {Mode::manual, "0002", false, true, false, false},
            {Mode::automatic, "0004", true, false, true, false},
            {Mode::semaphore, "0006", true, true, true, true},
            {Mode::pulse, "0006", true, true, true, true},
            // Each subscriber of a pulse has a private descriptor. This descriptor is writable,
            // even if the caller has no permission to set.
            {Mode::pulse, "0004", true, false, true, true},
            {Mode::pulse, "0002", false, true, false, false},
        }));
    ObservedRegistry fixture;
    REQUIRE(fixture.create(
        fixture.session,
        {.name = "e"_name, .mode = mode, .permissions = Permissions::parse(permissions)}));

    auto opened = fixture.registry.open(fixture.other, names({"e"}));

    REQUIRE(opened);
    const auto& one = opened->front();
    CHECK(one.kind == Kind::event);
    CHECK(one.mode == mode);
    CHECK(one.may_wait == wait);
    CHECK(one.may_set == set);
    REQUIRE(one.file_descriptor.has_value() == has_fd);
    CHECK(one.subscription.has_value() == (has_fd && mode == Mode::pulse));
    if (has_fd)
        CHECK(add(received_copy(*one.file_descriptor), 1).has_value() == writable);
}

TEST_CASE("Open is all or nothing and leaves no subscription behind")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(
        fixture.create(fixture.session, {.name = "mine"_name, .permissions = "0600"_permissions}));
    // Begins a subscription, which the refused calls below must not end.
    REQUIRE(fixture.registry.open(fixture.other, names({"p"})));

    CHECK(verdict(fixture.registry.open(fixture.other, names({"p", "missing"}))) == "NoSuchName");
    CHECK(verdict(fixture.registry.open(fixture.other, names({"p", "mine"}))) == "NotPermitted");

    CHECK(fixture.quota.used(bob, Resource::subscriptions) == 1);
    CHECK(fixture.other.subscriptions.size() == 1);
    CHECK(fixture.object("p").pulse()->subscriptions().size() == 1);
}

TEST_CASE("Set, Clear and Delete change nothing if one name is refused")
{
    const auto [bad, error] = GENERATE(
        table<std::string, std::string>({{"missing", "NoSuchName"}, {"mine", "NotPermitted"}}));
    ObservedRegistry fixture;
    REQUIRE(
        fixture.create(fixture.other, {.name = "set"_name, .initial = protocol::InitialCount{1}}));
    REQUIRE(fixture.create(fixture.other, {.name = "clear"_name}));
    REQUIRE(
        fixture.create(fixture.session, {.name = "mine"_name, .permissions = "0644"_permissions}));
    const auto& peer = fixture.other.peer;

    CHECK(verdict(fixture.registry.set(peer, set_items({"clear", bad}, 1))) == error);
    CHECK(verdict(fixture.registry.clear(peer, names({"set", bad}))) == error);
    CHECK(verdict(fixture.registry.delete_objects(peer, names({"set", bad}))) == error);

    CHECK(fixture.object("set").event()->is_set());
    CHECK_FALSE(fixture.object("clear").event()->is_set());
}

TEST_CASE("one call sets no more tokens than the limit, over all names and subscriptions")
{
    ObservedRegistry fixture;
    const auto& peer = fixture.session.peer;
    for (const auto* name : {"s", "t", "n", "o"})
        REQUIRE(
            fixture.create(fixture.session, {.name = *Name::parse(name), .mode = Mode::semaphore}));
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(fixture.create(fixture.session, {.name = "m"_name}));
    for (int i = 0; i < 2; ++i)
        REQUIRE(fixture.registry.open(fixture.session, names({"p"})));
    // The limit does not apply to numbers, because a number gets all tokens in one step.
    CHECK(verdict(fixture.registry.set(peer, set_items({"n", "o"}, max_tokens_per_set))) == "ok");
    for (const auto* name : {"s", "t", "m"})
        fixture.open(name);

    CHECK(verdict(fixture.registry.set(peer, set_items({"s"}, max_tokens_per_set))) == "ok");
    CHECK(verdict(fixture.registry.set(peer, set_items({"s", "m"}, max_tokens_per_set))) ==
          "TooManyTokens");
    CHECK(verdict(fixture.registry.set(peer, set_items({"s", "t"}, max_tokens_per_set / 2 + 1))) ==
          "TooManyTokens");
    CHECK(verdict(fixture.registry.set(peer, set_items({"p"}, max_tokens_per_set / 2 + 1))) ==
          "TooManyTokens");

    CHECK(fixture.object("s").event()->count() == static_cast<std::uint64_t>(max_tokens_per_set));
    CHECK_FALSE(fixture.object("m").event()->is_set());
    CHECK_FALSE(fixture.object("t").event()->is_set());
}

TEST_CASE("one call consumes all existing tokens, over all names")
{
    ObservedRegistry fixture;
    for (const auto* name : {"s", "t"})
        REQUIRE(fixture.create(fixture.session, {.name = *Name::parse(name),
                                                 .mode = Mode::semaphore,
                                                 .initial = protocol::InitialCount{20'000}}));

    CHECK(verdict(fixture.registry.clear(fixture.session.peer, names({"s", "t"}))) == "ok");
    CHECK_FALSE(fixture.object("s").event()->is_set());
    CHECK_FALSE(fixture.object("t").event()->is_set());
}

TEST_CASE("only the owner and root change permissions and delete")
{
    const auto [uid, verdict_of_both] =
        GENERATE(table<uid_t, std::string>({{alice, "ok"}, {bob, "NotPermitted"}, {0, "ok"}}));
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .permissions = "0666"_permissions}));
    const auto peer = make_peer(uid);

    CHECK(verdict(fixture.registry.set_permissions(peer, "e"_name, "0600"_permissions)) ==
          verdict_of_both);
    CHECK(verdict(fixture.registry.delete_objects(peer, names({"e"}))) == verdict_of_both);
    CHECK((fixture.registry.objects.find("e"_name) == nullptr) == (verdict_of_both == "ok"));
}

TEST_CASE("each change of an object is reported, a deletion after it happened")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(fixture.registry.set(fixture.session.peer, set_items({"p"}, 3)));
    REQUIRE(fixture.registry.set_permissions(fixture.session.peer, "p"_name, "0600"_permissions));
    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"p"})));
    CHECK(fixture.take_recorded() == "created p; pulsed p; permissions p; deleted p");
    CHECK(fixture.pulses == 3);
}

TEST_CASE("a watched event reports every write and read, of any process, and no initial state")
{
    ObservedRegistry fixture;
    REQUIRE(
        fixture.create(fixture.session, {.name = "e"_name, .initial = protocol::InitialCount{1}}));
    const auto client = fixture.open("e");
    REQUIRE(fixture.watch("e", EdgeMask::any));
    fixture.take_recorded();

    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());
    REQUIRE(take(client));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");
    REQUIRE(add(client, 1));
    REQUIRE(take(client)); // The write and the read together are reported as one edge.
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");
    REQUIRE(fixture.registry.set(fixture.session.peer, set_items({"e"}, 1)));
    // The daemon reports the edge of a Set at once, before another request can clear the event.
    CHECK(fixture.take_recorded() == "edge e");
}

bool is_in_epoll(ObservedRegistry& fixture)
{
    return fixture.object("e").event()->descriptor()->watch.is_in_epoll();
}

TEST_CASE("an unobserved event is no longer watched")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name}));
    const auto client = fixture.open("e");
    REQUIRE(fixture.watch("e", EdgeMask::any));
    REQUIRE(fixture.registry.watches.monitor("e"_name, fixture.object("e")));
    fixture.unwatch();
    CHECK(is_in_epoll(fixture)); // A monitor still keeps the event watched.
    REQUIRE(fixture.watch("e", EdgeMask::readable));
    fixture.registry.watches.unmonitor("e"_name, fixture.object("e"));
    CHECK(is_in_epoll(fixture)); // An interest still keeps the event watched.

    fixture.unwatch();
    fixture.take_recorded();

    REQUIRE(add(client, 1));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());
}

TEST_CASE("a watch for readable edges reports each set, also the initial one, and no read")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(
        fixture.session,
        {.name = "e"_name, .mode = Mode::automatic, .initial = protocol::InitialCount{1}}));
    const auto client = fixture.open("e");
    REQUIRE(fixture.watch("e", EdgeMask::readable));
    fixture.take_recorded();

    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");
    REQUIRE(take(client));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());
    REQUIRE(add(client, 1));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");

    // A pending edge is not lost when another observer asks for all edges.
    REQUIRE(add(client, 1));
    REQUIRE(fixture.watch("e", EdgeMask::any));
    CHECK(fixture.take_recorded() == "edge e");
    REQUIRE(take(client));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");
}

TEST_CASE("an unobserved event keeps its watch for one more set, which is not reported")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .mode = Mode::semaphore}));
    const auto client = fixture.open("e");
    REQUIRE(fixture.watch("e", EdgeMask::readable));
    fixture.unwatch();
    CHECK_FALSE(is_watched(fixture.object("e")));
    // The watch stays in the epoll set in case the event is observed again.
    CHECK(fixture.object("e").event()->descriptor()->watch.is_in_epoll());
    fixture.take_recorded();

    SECTION("until the next set")
    {
        REQUIRE(add(client, 1));
        run_until_idle(fixture.loop);
        CHECK(fixture.take_recorded().empty());
        CHECK_FALSE(fixture.object("e").event()->descriptor()->watch.is_in_epoll());
    }
    SECTION("unless it is observed again before")
    {
        REQUIRE(fixture.watch("e", EdgeMask::readable));
        REQUIRE(add(client, 1));
        run_until_idle(fixture.loop);
        CHECK(fixture.take_recorded() == "edge e");
    }
}

TEST_CASE("an unopened event is reported without a watch until it is opened")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .mode = Mode::automatic}));
    REQUIRE(fixture.watch("e", EdgeMask::readable));
    CHECK_FALSE(is_watched(fixture.object("e")));
    fixture.take_recorded();

    REQUIRE(fixture.registry.set(fixture.session.peer, set_items({"e"}, 1)));
    CHECK(fixture.take_recorded() == "edge e");

    const auto opened = fixture.registry.open(fixture.session, names({"e"}));
    REQUIRE(opened);
    REQUIRE(fixture.object("e").event()->descriptor()->watch.is_in_epoll());
    run_until_idle(fixture.loop);
    fixture.take_recorded(); // Drops the edge that the new watch reports at its start.
    REQUIRE(add(received_copy(*opened->front().file_descriptor), 1));
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded() == "edge e");
}

TEST_CASE("a manual event misses no set when it is opened while it is observed")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "a"_name, .permissions = "0666"_permissions}));
    REQUIRE(fixture.watch("a", EdgeMask::readable));
    const auto opened = fixture.registry.open(fixture.other, names({"a"}));
    REQUIRE(opened);
    const auto fd = received_copy(*opened->front().file_descriptor);
    fixture.registry.deliver_edges();
    CHECK(fixture.take_recorded() == "created a"); // Opening the event is not reported.

    REQUIRE(add(fd, 1));
    REQUIRE(take(fd));
    fixture.registry.deliver_edges();

    CHECK(fixture.take_recorded() == "edge a");
}

TEST_CASE("tokens returned to an unopened event are reported before its deletion, once")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .mode = Mode::automatic}));
    REQUIRE(fixture.watch("e", EdgeMask::readable));
    fixture.take_recorded();
    const TakenTokens taken{.tokens = {{"e"_name, fixture.object("e").serial}}};
    // The returned token causes an edge. Without the deletion below, the edge would be delivered at
    // the end of the iteration.
    fixture.registry.tokens.return_tokens(std::span{&taken, 1});

    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"e"})));
    CHECK(fixture.take_recorded() == "edge e; deleted e");
    run_until_idle(fixture.loop);
    CHECK(fixture.take_recorded().empty());
}

TEST_CASE("a change of an event is reported before its deletion")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .lifetime = Lifetime::session}));
    REQUIRE(fixture.watch("e", EdgeMask::any));
    const auto client = fixture.open("e");
    fixture.take_recorded();
    REQUIRE(add(client, 1));

    SECTION("by its owner")
    {
        REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"e"})));
    }
    SECTION("by the end of its session")
    {
        fixture.registry.end(fixture.session);
    }
    CHECK(fixture.take_recorded() == "edge e; deleted e");
}

TEST_CASE("a session that ends deletes its own objects and nothing else")
{
    ObservedRegistry fixture;
    const auto lifetime = Lifetime::session;
    REQUIRE(fixture.create(fixture.session, {.name = "mine"_name, .lifetime = lifetime}));
    REQUIRE(fixture.create(fixture.session, {.name = "stays"_name}));
    REQUIRE(fixture.create(fixture.other, {.name = "others"_name, .lifetime = lifetime}));
    REQUIRE(fixture.create(fixture.session, {.name = "again"_name, .lifetime = lifetime}));
    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"again"})));
    REQUIRE(fixture.create(fixture.other, {.name = "again"_name, .lifetime = lifetime}));
    REQUIRE(fixture.create(fixture.other, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(fixture.registry.open(fixture.session, names({"p"})));

    fixture.registry.end(fixture.session);

    std::string left;
    for (const auto& [name, object] : fixture.registry.objects.all())
        left += std::string{name.text()} + " ";
    CHECK(left == "again others p stays ");
    CHECK(fixture.quota.used(alice, Resource::objects) == 1);
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("a subscription is ended only by its owner")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "p"_name, .mode = Mode::pulse}));
    const auto opened = fixture.registry.open(fixture.session, names({"p"}));
    REQUIRE(opened);
    const auto token = *Token::parse(*opened->front().subscription);

    CHECK_FALSE(fixture.registry.unsubscribe(fixture.other, token));
    REQUIRE(fixture.registry.set(fixture.session.peer, set_items({"p"}, 1)));
    CHECK(take(opened->front().file_descriptor->fd) == 1U);

    CHECK(fixture.registry.unsubscribe(fixture.session, token));
    REQUIRE(fixture.registry.set(fixture.session.peer, set_items({"p"}, 1)));
    CHECK(take(opened->front().file_descriptor->fd) == 0U);
    CHECK_FALSE(fixture.registry.unsubscribe(fixture.session, token));
}

TEST_CASE("a session that creates and deletes without end does not grow")
{
    ObservedRegistry fixture;
    for (int i = 0; i < 2'000; ++i) {
        const auto name = *Name::parse("n/" + std::to_string(i));
        REQUIRE(fixture.create(fixture.session,
                               {.name = name, .mode = Mode::pulse, .lifetime = Lifetime::session}));
        REQUIRE(fixture.registry.open(fixture.session, {{{name}}}));
        REQUIRE(fixture.registry.delete_objects(fixture.session.peer, {{{name}}}));
    }
    CHECK_FALSE(fixture.registry.lifetimes.has_owned(fixture.session));
    CHECK(fixture.session.subscriptions.size() < 10);
}

TEST_CASE("a growing session keeps its live entries")
{
    ObservedRegistry fixture;
    for (int i = 0; i < 300; ++i) {
        const auto name = *Name::parse("n/" + std::to_string(i));
        REQUIRE(fixture.create(fixture.session,
                               {.name = name, .mode = Mode::pulse, .lifetime = Lifetime::session}));
        REQUIRE(fixture.registry.open(fixture.session, {{{name}}}));
        if (i % 3 == 0)
            REQUIRE(fixture.registry.delete_objects(fixture.session.peer, {{{name}}}));
    }
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 200);

    fixture.registry.end(fixture.session);

    CHECK(fixture.registry.objects.all().empty());
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("a misused event is logged once and keeps working")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name}));
    auto& object = fixture.object("e");
    const auto held = fixture.registry.open(fixture.session, names({"e"}));
    REQUIRE(held);
    const int fd = held->front().file_descriptor->number();
    REQUIRE(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
    REQUIRE(object.event()->state()->is_blocking);
    CHECK(object.event()->descriptor()->has_warned == std::array{false, false});

    const auto again = fixture.registry.open(fixture.session, names({"e"}));
    REQUIRE(again);
    CHECK(object.event()->descriptor()->has_warned.at(static_cast<std::size_t>(Misuse::blocking)));
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK_FALSE(object.event()->state()->is_blocking);

    REQUIRE(fixture.watch("e", EdgeMask::any));
    run_until_idle(fixture.loop);
    REQUIRE(add(*held->front().file_descriptor->shared, max_count));
    run_until_idle(fixture.loop);
    CHECK(object.event()->descriptor()->has_warned == std::array{true, true});
    // Set succeeds although the counter is full already.
    CHECK(fixture.registry.set(make_peer(alice), set_items({"e"}, 1)));
    CHECK(fixture.registry.clear(make_peer(alice), names({"e"})));
    CHECK_FALSE(object.event()->is_set());
}

TEST_CASE("a caller that may only wait gets one wait-only handle, however often it opens the event")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 2);
    ObservedRegistry fixture{limits};
    for (const auto* name : {"a", "b", "c"})
        REQUIRE(fixture.create(fixture.session,
                               {.name = *Name::parse(name), .permissions = "0664"_permissions}));
    const auto open = [&](std::string_view name) {
        return fixture.registry.open(fixture.other, names({name}));
    };
    const auto used = [&] { return fixture.quota.used(bob, Resource::subscriptions); };

    const auto first = open("a");
    const auto second = open("a");
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->front().file_descriptor->shared == second->front().file_descriptor->shared);
    CHECK(used() == 1);
    REQUIRE(open("b"));
    CHECK(open("a"));
    CHECK(used() == 2);
    Session again{3, make_peer(bob), {}, {}};
    CHECK(verdict(fixture.registry.open(again, names({"c"}))) == "QuotaExceeded");
    CHECK(used() == 2);

    REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"a"})));
    CHECK(used() == 1);
    CHECK(open("c"));
    fixture.other.handles = {};
    CHECK(used() == 0);
}

TEST_CASE("a session may open more events one after another than it may keep handles of")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 2);
    ObservedRegistry fixture{limits};
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        REQUIRE(fixture.create(fixture.session,
                               {.name = *Name::parse(name), .permissions = "0664"_permissions}));
        REQUIRE(fixture.registry.open(fixture.other, names({name})));
        CHECK(fixture.quota.used(bob, Resource::subscriptions) <= 2);
    }
}

TEST_CASE("users share no handle, and neither do two sessions of one user")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "a"_name, .permissions = "0664"_permissions}));
    Session again{3, make_peer(bob), {}, {}};
    Session third{4, make_peer(bob + 1), {}, {}};
    const auto handle = [&](Session& session) {
        const auto opened = fixture.registry.open(session, names({"a"}));
        REQUIRE(opened);
        return opened->front().file_descriptor->shared;
    };
    const auto first = handle(fixture.other);
    CHECK(handle(again) == first);
    CHECK(handle(third) != first);

    fixture.other.handles = {};
    CHECK(handle(again) == first);
    CHECK(fixture.quota.used(bob, Resource::subscriptions) == 1);
}

TEST_CASE("handles of deleted events do not accumulate in a session")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 1);
    ObservedRegistry fixture{limits};
    for (int i = 0; i < 1'000; ++i) {
        REQUIRE(
            fixture.create(fixture.session, {.name = "a"_name, .permissions = "0664"_permissions}));
        REQUIRE(fixture.registry.open(fixture.other, names({"a"})));
        REQUIRE(fixture.registry.delete_objects(fixture.session.peer, names({"a"})));
    }
    CHECK(fixture.other.handles.size() < 1'000 / 5);
}

TEST_CASE("the last descriptors are reserved for users with few")
{
    constexpr std::int64_t budget = 128;
    ObservedRegistry fixture{default_limits, budget};
    std::int64_t opened_count = 0;
    const auto open = [&](Session& session) {
        const auto name = "n/" + std::to_string(opened_count);
        (void)fixture.create(fixture.session,
                             {.name = *Name::parse(name), .permissions = "0666"_permissions});
        const auto result = verdict(fixture.registry.open(session, names({name})));
        opened_count += result == "ok" ? 1 : 0;
        return result;
    };
    while (opened_count < budget - budget / 8)
        REQUIRE(open(fixture.session) == "ok");

    CHECK(open(fixture.session) == "QuotaExceeded");
    CHECK(open(fixture.other) == "ok");
    CHECK(open(fixture.other) == "ok");
    CHECK(open(fixture.other) == "QuotaExceeded");
    Session root{3, make_peer(0), {}, {}};
    while (opened_count < budget)
        REQUIRE(open(root) == "ok");
    CHECK(open(root) == "OutOfDescriptors");
}

TEST_CASE(
    "an endlessly written event wakes the daemon at a bounded rate, and its last edge is reported")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name, .mode = Mode::semaphore}));
    REQUIRE(fixture.watch("e", EdgeMask::any));
    const auto written = fixture.open("e");
    run_until_idle(fixture.loop);
    const auto begin = monotonic_now();
    std::uint64_t writes = 0;
    int wakeups = 0;
    while (monotonic_now() - begin < 50ms) {
        REQUIRE(add(written, 1));
        ++writes;
        fixture.take_recorded();
        REQUIRE(fixture.loop.run_once(0ns));
        wakeups += fixture.take_recorded() == "edge e" ? 1 : 0;
    }
    const auto most = (monotonic_now() - begin) / nanoseconds{min_edge_interval} + 2;
    INFO(writes << " writes");
    CHECK(wakeups > 1);
    CHECK(wakeups <= most);

    // After the loop of fast writes, the daemon still reports the edge of a later write.
    run_until_idle(fixture.loop);
    fixture.take_recorded();
    REQUIRE(add(written, 1));
    std::string recorded_edge;
    for (int i = 0; i < 100 && recorded_edge.empty(); ++i, recorded_edge = fixture.take_recorded())
        REQUIRE(fixture.loop.run_once(10ms));
    CHECK(recorded_edge == "edge e");
}

// The tests below are about policies. Most objects in these tests grant all permissions.

// Returns a word for the outcome of a call:
// - "ok" if the call succeeded
// - the name of the missing permission, such as "wait", if the policy denied the call
// - "permissions" if the object's own permissions denied the call
// - the name of the error if the call failed with any other error
template <class T>
std::string missing(const Outcome<T>& outcome)
{
    if (outcome)
        return "ok";
    const auto* refused = std::get_if<protocol::NotPermitted>(&outcome.error().reason());
    if (!refused)
        return error_name(outcome.error());
    return refused->message.contains("the policy") ? std::string{to_string(refused->access)}
                                                   : "permissions";
}

TEST_CASE("the policy refuses a call whatever the permissions of the object")
{
    const auto [rules, create, open, set, remove] =
        GENERATE(table<std::string, std::string, std::string, std::string, std::string>({
            {"", "ok", "ok", "ok", "ok"},
            {"db/ bob -c", "create", "ok", "ok", "ok"},
            // Bob can still open the event, but only for setting.
            {"db/ bob -w", "ok", "ok", "ok", "ok"},
            {"db/ bob -s", "ok", "ok", "set", "ok"},
            {"db/ bob -ws", "ok", "wait", "set", "ok"},
            {"db/ bob -d", "ok", "ok", "ok", "own"},
            {"default deny", "create", "wait", "set", "own"},
            {"default deny; db/ bob +cwsd", "ok", "ok", "ok", "ok"},
        }));
    INFO(rules);
    ObservedRegistry fixture;
    for (const auto* name : {"db/e", "db/f"})
        REQUIRE(fixture.create(fixture.other,
                               {.name = *Name::parse(name), .permissions = "0666"_permissions}));
    fixture.registry.authorization.set_policy(make_policy(rules));
    auto& registry = fixture.registry;
    const auto& peer = fixture.other.peer; // The peer is bob, who owns the events.

    CHECK(missing(fixture.create(fixture.other, {.name = "db/new"_name})) == create);
    CHECK((registry.objects.find("db/new"_name) != nullptr) == (create == "ok"));
    CHECK(missing(registry.open(fixture.other, names({"db/e"}))) == open);
    CHECK(missing(registry.set(peer, set_items({"db/e"}, 1))) == set);
    CHECK(fixture.object("db/e").event()->is_set() == (set == "ok"));
    CHECK(missing(registry.clear(peer, names({"db/e"}))) == set);
    CHECK(missing(registry.set_permissions(peer, "db/f"_name, "0600"_permissions)) == remove);
    CHECK((fixture.object("db/f").ownership.permissions == "0600"_permissions) == (remove == "ok"));
    CHECK(missing(registry.delete_objects(peer, names({"db/e"}))) == remove);
    CHECK((registry.objects.find("db/e"_name) == nullptr) == (remove == "ok"));
    // The policy does not restrict root. Even a policy that allows everything gives alice no
    // permission that the object denies her.
    const auto by_root = registry.set(make_peer(0), set_items({"db/f"}, 1));
    CHECK(by_root);
    registry.authorization.set_policy({});
    REQUIRE(registry.set_permissions(make_peer(0), "db/f"_name, "0600"_permissions));
    registry.authorization.set_policy(make_policy("db/ * +cwsd"));
    CHECK(missing(registry.set(make_peer(alice), set_items({"db/f"}, 1))) == "permissions");
    CHECK(missing(registry.delete_objects(make_peer(alice), names({"db/f"}))) == "permissions");
}

TEST_CASE("the descriptor that Open passes follows from the policy and the permissions together")
{
    struct Case {
        std::string rules;
        std::string permissions; // The permissions of the event. The bits for others apply to Bob.
        bool may_wait;
        bool may_set;
    };
    const auto one = GENERATE(values<Case>({{"", "0666", true, true},
                                            {"e bob -s", "0666", true, false},
                                            {"e bob -w", "0666", false, true},
                                            {"e bob -s", "0664", true, false},
                                            {"e bob -w", "0662", false, true},
                                            {"e bob +ws", "0664", true, false}}));
    const auto mode = GENERATE(Mode::manual, Mode::pulse);
    INFO(one.rules << " with permissions " << one.permissions);
    ObservedRegistry fixture;
    REQUIRE(fixture.create(
        fixture.session,
        {.name = "e"_name, .mode = mode, .permissions = *Permissions::parse(one.permissions)}));
    fixture.registry.authorization.set_policy(make_policy(one.rules));

    const auto opened = fixture.registry.open(fixture.other, names({"e"}));

    REQUIRE(opened);
    CHECK(opened->front().may_wait == one.may_wait);
    CHECK(opened->front().may_set == one.may_set);
    REQUIRE(opened->front().file_descriptor.has_value() == one.may_wait);
    if (one.may_wait && mode == Mode::manual)
        CHECK(add(received_copy(*opened->front().file_descriptor), 1).has_value() == one.may_set);
}

TEST_CASE("a caller lacking one permission by mode and the other by policy cannot open")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "r"_name, .permissions = "0664"_permissions}));
    REQUIRE(fixture.create(fixture.session, {.name = "w"_name, .permissions = "0662"_permissions}));
    fixture.registry.authorization.set_policy(make_policy("r bob -w; w bob -s"));
    CHECK(missing(fixture.registry.open(fixture.other, names({"r"}))) == "wait");
    CHECK(missing(fixture.registry.open(fixture.other, names({"w"}))) == "permissions");
}

TEST_CASE("an existing event is returned without a policy check for creation")
{
    ObservedRegistry fixture;
    REQUIRE(fixture.create(fixture.session, {.name = "e"_name}));
    fixture.registry.authorization.set_policy(make_policy("default deny"));
    CHECK(fixture.create(fixture.session, {.name = "e"_name, .if_missing = true}) == Made::existed);
    CHECK(missing(fixture.create(fixture.session, {.name = "e"_name})) == "NameTaken");
}

TEST_CASE("a declared object is created whatever the policy")
{
    ObservedRegistry fixture;
    fixture.registry.authorization.set_policy(make_policy("default deny"));
    constexpr auto skip_check = PolicyCheck::skip;
    for (const auto* name : {"e", "user/2002/e", "user/x"})
        CHECK(fixture.registry.create(fixture.session, {.name = *Name::parse(name)}, skip_check) ==
              Made::created);
    CHECK(fixture.registry.arm(fixture.session, {.name = "t"_name, .after = 1h, .sets = "e"_name},
                               skip_check) == Made::created);
    REQUIRE(fixture.registry.create(fixture.other, {.name = "bobs"_name}, skip_check));
    CHECK(missing(fixture.registry.arm(fixture.session,
                                       {.name = "u"_name, .after = 1h, .sets = "bobs"_name},
                                       skip_check)) == "permissions");
}

TEST_CASE("each user creates and uses names of its own below user")
{
    ObservedRegistry fixture;
    fixture.registry.authorization.set_policy(make_policy("default deny"));
    const auto make = [&](Session& session, const char* name) {
        const auto created_count = fixture.create(
            session,
            {.name = *Name::parse(name), .permissions = "0666"_permissions, .if_missing = true});
        return created_count
                   ? "ok"s
                   : std::get<protocol::NotPermitted>(created_count.error().reason()).message;
    };
    CHECK(make(fixture.session, "user/2001/a") == "ok");
    CHECK(make(fixture.session, "user/2001") == "ok");
    CHECK(make(fixture.other, "user/2001/b").contains("for uid 2001 and root alone"));
    CHECK(make(fixture.session, "user/x").contains("for root alone; names under 'user/2001/'"));
    CHECK(verdict(fixture.registry.set(fixture.session.peer, set_items({"user/2001/a"}, 1))) ==
          "ok");
    CHECK(verdict(fixture.registry.set(fixture.other.peer, set_items({"user/2001/a"}, 1))) ==
          "NotPermitted");
    CHECK(verdict(fixture.registry.open(fixture.other, names({"user/2001/a"}))) == "NotPermitted");
    CHECK(verdict(fixture.registry.set(make_peer(0), set_items({"user/2001/a"}, 1))) == "ok");
    CHECK(verdict(fixture.registry.delete_objects(fixture.session.peer, names({"user/2001/a"}))) ==
          "ok");
}

} // namespace
} // namespace evfd::daemon
