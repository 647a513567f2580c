#include "daemon/objects/registry.h"

#include "tests/support/service_fixture.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/resource_limits.h"

namespace evfd::daemon {
namespace {

// Who is told what, as text.
struct Recorder final : Audience {
    void created(const Name& name, Object&) override { say("created " + name.text()); }
    void rang(const Name& name, Object&) override { say("rang " + name.text()); }
    bool heard() override { return false; }
    void pulsed(const Name& name, Object&, std::int64_t times) override
    {
        say("pulsed " + name.text() + " " + std::to_string(times));
    }
    void expired(const Name& name, Object&, std::int64_t times) override
    {
        say("expired " + name.text() + " " + std::to_string(times));
    }
    void rearmed(const Name& name, Object&) override { say("rearmed " + name.text()); }
    void cancelled(const Name& name, Object&) override { say("cancelled " + name.text()); }
    void altered(const Name& name, Object&, const Ownership&) override
    {
        say("altered " + name.text());
    }
    void deleted(const Name& name, const Ownership&) override
    {
        say("deleted " + name.text() + (registry.find(name) ? " but there" : ""));
    }
    void attended(const Name& name) override { say("attended " + name.text()); }
    bool cares_for(const Name&) const override { return cares; }

    void say(const std::string& what) { (told += told.empty() ? "" : "; ") += what; }
    std::string take_told() { return std::exchange(told, {}); }

    Outcome<bool> create(Session& creator, const protocol::CreateEvent& request)
    {
        return registry.create(creator, request);
    }
    Object& object(std::string_view name) { return *registry.find(*Name::parse(name)); }

    explicit Recorder(Limits limits = default_limits, std::int64_t budget = plenty)
        : quota{limits}, registry{loop, quota, *this, vault, make_adder(), budget}
    {
    }

    bool cares = true;
    std::string told;
    EventLoop loop;
    Quota quota;
    Vault vault{loop};
    Registry registry;
    Session session{1, person(alice), {}, {}};
    Session other{2, person(bob), {}, {}};
};

TEST_CASE("an event is made as it was asked for, and belongs to the caller")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name,
                                       .mode = Mode::semaphore,
                                       .initial = protocol::InitialCount{3},
                                       .rights = "0640"_rights}) == true);

    const auto& object = room.object("e");
    CHECK(object.mode() == Mode::semaphore);
    CHECK(std::get<Event>(object.body).count() == 3U);
    CHECK(object.ownership.owner == alice);
    CHECK(object.ownership.rights == "0640"_rights);
    CHECK(object.creator == 4711);
    CHECK(object.session == 0);
    CHECK(room.take_told() == "created e");
}

TEST_CASE("an event is manual, clear, permanent and open to all to wait for, if nothing is said")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name}));
    auto& object = room.object("e");
    CHECK(object.mode() == Mode::manual);
    CHECK_FALSE(object.event()->is_set());
    CHECK(object.ownership.rights == "0644"_rights);
    CHECK(object.session == 0);
}

TEST_CASE("a name that is there is taken, unless an event of its mode is as good")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .initial = protocol::InitialCount{1}}));
    room.take_told();

    CHECK(verdict(room.create(room.other, {.name = "e"_name})) == "NameTaken");
    CHECK(room.create(room.other, {.name = "e"_name, .if_missing = true}) == false);
    CHECK(verdict(room.create(room.other,
                              {.name = "e"_name, .mode = Mode::automatic, .if_missing = true})) ==
          "WrongKind");
    CHECK(verdict(room.create(room.other, {.name = "e"_name, .mode = Mode::pulse})) == "WrongKind");

    CHECK(room.object("e").event()->is_set());
    CHECK(room.quota.used(bob, Resource::objects) == 0);
    CHECK(room.take_told().empty());
}

TEST_CASE("a pulse starts with nothing")
{
    Recorder room;
    const auto make = [&](std::int64_t initial) {
        return verdict(room.create(
            room.session,
            {.name = "p"_name, .mode = Mode::pulse, .initial = protocol::InitialCount{initial}}));
    };
    CHECK(make(1) == "InvalidParameter");
    CHECK(make(0) == "ok");
}

TEST_CASE("a user's last allowed object is made and the next refused, until one is deleted")
{
    auto limits = default_limits;
    limits.set(Resource::objects, 2);
    Recorder room{limits};
    REQUIRE(room.create(room.session, {.name = "a"_name}));
    REQUIRE(room.create(room.session, {.name = "b"_name, .mode = Mode::pulse}));

    CHECK(verdict(room.create(room.session, {.name = "c"_name})) == "QuotaExceeded");
    CHECK_FALSE(room.registry.find("c"_name));
    CHECK(verdict(room.create(room.other, {.name = "c"_name})) == "ok");
    REQUIRE(room.registry.remove(room.session.peer, names({"a"})));
    CHECK(verdict(room.create(room.session, {.name = "d"_name})) == "ok");
}

TEST_CASE("events and subscriptions together stay within the descriptor budget")
{
    Recorder room{default_limits, 3};
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse})); // Has none.
    REQUIRE(room.create(room.session, {.name = "a"_name}));
    REQUIRE(room.registry.open(room.session, names({"p"})));
    REQUIRE(room.create(room.session, {.name = "b"_name}));

    CHECK(verdict(room.create(room.session, {.name = "c"_name})) == "OutOfDescriptors");
    CHECK(verdict(room.registry.open(room.session, names({"p"}))) == "OutOfDescriptors");
    CHECK(room.quota.used(alice, Resource::objects) == 3);
    CHECK(room.quota.used(alice, Resource::subscriptions) == 1);

    REQUIRE(room.registry.remove(room.session.peer, names({"a"})));
    CHECK(verdict(room.registry.open(room.session, names({"p"}))) == "ok");
}

TEST_CASE(
    "nobody can follow a pulse so often that nobody could set it, nor take all there is to others")
{
    need_descriptors(20'000);
    auto limits = default_limits;
    limits.set(Resource::subscriptions, max_tokens_per_set);
    Recorder room{limits};
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse}));
    std::int64_t its = 0;
    std::string refusal = "ok";
    for (; refusal == "ok"; ++its) {
        const auto opened = room.registry.open(room.session, names({"p"}));
        refusal = verdict(opened);
    }
    CHECK(refusal == "QuotaExceeded");
    CHECK(its > max_tokens_per_set / 2);
    CHECK(its < max_tokens_per_set);
    CHECK(verdict(room.registry.open(room.other, names({"p"}))) == "ok");
    CHECK(verdict(room.registry.set(room.session.peer, names({"p"}), 1)) == "ok");
}

TEST_CASE("what open hands over depends on what the caller may")
{
    const auto [mode, rights, wait, set, has_fd, writable] =
        GENERATE(table<Mode, std::string, bool, bool, bool, bool>({
            {Mode::manual, "0006", true, true, true, true},
            {Mode::manual, "0004", true, false, true, false},
            {Mode::manual, "0002", false, true, false, false},
            {Mode::automatic, "0004", true, false, true, false},
            {Mode::semaphore, "0006", true, true, true, true},
            {Mode::pulse, "0006", true, true, true, true},
            {Mode::pulse, "0004", true, false, true, true}, // Its own: nobody else sees it.
            {Mode::pulse, "0002", false, true, false, false},
        }));
    Recorder room;
    REQUIRE(room.create(room.session,
                        {.name = "e"_name, .mode = mode, .rights = Rights::parse(rights)}));

    auto opened = room.registry.open(room.other, names({"e"}));

    REQUIRE(opened);
    const auto& one = opened->front();
    CHECK(one.kind == Kind::event);
    CHECK(one.mode == mode);
    CHECK(one.may_wait == wait);
    CHECK(one.may_set == set);
    REQUIRE(one.file_descriptor.has_value() == has_fd);
    CHECK(one.subscription.has_value() == (has_fd && mode == Mode::pulse));
    if (has_fd)
        CHECK(add(as_received(*one.file_descriptor), 1).has_value() == writable);
}

TEST_CASE("open is all or nothing, and leaves no subscription behind")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(room.create(room.session, {.name = "mine"_name, .rights = "0600"_rights}));
    REQUIRE(room.registry.open(room.other, names({"p"}))); // This one stays.

    CHECK(verdict(room.registry.open(room.other, names({"p", "missing"}))) == "NoSuchName");
    CHECK(verdict(room.registry.open(room.other, names({"p", "mine"}))) == "NotPermitted");

    CHECK(room.quota.used(bob, Resource::subscriptions) == 1);
    CHECK(room.other.followings.size() == 1);
    CHECK(std::get<Pulse>(room.object("p").body).followers().size() == 1);
}

TEST_CASE("set, clear and delete do nothing at all where one of the names is refused")
{
    const auto [bad, error] = GENERATE(
        table<std::string, std::string>({{"missing", "NoSuchName"}, {"mine", "NotPermitted"}}));
    Recorder room;
    REQUIRE(room.create(room.other, {.name = "set"_name, .initial = protocol::InitialCount{1}}));
    REQUIRE(room.create(room.other, {.name = "clear"_name}));
    REQUIRE(room.create(room.session, {.name = "mine"_name, .rights = "0644"_rights}));
    const auto& peer = room.other.peer;

    CHECK(verdict(room.registry.set(peer, names({"clear", bad}), 1)) == error);
    CHECK(verdict(room.registry.clear(peer, names({"set", bad}))) == error);
    CHECK(verdict(room.registry.remove(peer, names({"set", bad}))) == error);

    CHECK(room.object("set").event()->is_set());
    CHECK_FALSE(room.object("clear").event()->is_set());
}

TEST_CASE("one call sets no more tokens than the limit, over all names and subscriptions")
{
    Recorder room;
    const auto& peer = room.session.peer;
    for (const auto* name : {"s", "t"})
        REQUIRE(room.create(room.session, {.name = *Name::parse(name), .mode = Mode::semaphore}));
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(room.create(room.session, {.name = "m"_name}));
    for (int i = 0; i < 2; ++i)
        REQUIRE(room.registry.open(room.session, names({"p"})));

    CHECK(verdict(room.registry.set(peer, names({"s"}), max_tokens_per_set)) == "ok");
    CHECK(verdict(room.registry.set(peer, names({"s", "m"}), max_tokens_per_set)) ==
          "TooManyTokens");
    CHECK(verdict(room.registry.set(peer, names({"s", "t"}), max_tokens_per_set / 2 + 1)) ==
          "TooManyTokens");
    CHECK(verdict(room.registry.set(peer, names({"p"}), max_tokens_per_set / 2 + 1)) ==
          "TooManyTokens");

    CHECK(room.object("s").event()->count() == static_cast<std::uint64_t>(max_tokens_per_set));
    CHECK_FALSE(room.object("m").event()->is_set());
    CHECK_FALSE(room.object("t").event()->is_set());
}

TEST_CASE("one call takes all tokens that there were, over all names")
{
    Recorder room;
    for (const auto* name : {"s", "t"})
        REQUIRE(room.create(room.session, {.name = *Name::parse(name),
                                           .mode = Mode::semaphore,
                                           .initial = protocol::InitialCount{20'000}}));

    CHECK(verdict(room.registry.clear(room.session.peer, names({"s", "t"}))) == "ok");
    CHECK_FALSE(room.object("s").event()->is_set());
    CHECK_FALSE(room.object("t").event()->is_set());
}

TEST_CASE("only the owner and root change rights and delete")
{
    const auto [uid, verdict_of_both] =
        GENERATE(table<uid_t, std::string>({{alice, "ok"}, {bob, "NotPermitted"}, {0, "ok"}}));
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .rights = "0666"_rights}));
    const auto peer = person(uid);

    CHECK(verdict(room.registry.set_rights(peer, "e"_name, "0600"_rights)) == verdict_of_both);
    CHECK(verdict(room.registry.remove(peer, names({"e"}))) == verdict_of_both);
    CHECK((room.registry.find("e"_name) == nullptr) == (verdict_of_both == "ok"));
}

TEST_CASE("what is done to an object is told, a deletion when it is done")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(room.registry.set(room.session.peer, names({"p"}), 3));
    REQUIRE(room.registry.set_rights(room.session.peer, "p"_name, "0600"_rights));
    REQUIRE(room.registry.remove(room.session.peer, names({"p"})));
    CHECK(room.take_told() == "created p; pulsed p 3; altered p; deleted p");
}

TEST_CASE("a watched event rings for every write and read, whoever does it, and not to begin with")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .initial = protocol::InitialCount{1}}));
    const auto client = *duplicate(*room.object("e").event()->share());
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::everything));
    room.take_told();

    settle(room.loop);
    CHECK(room.take_told().empty());
    REQUIRE(take(client));
    settle(room.loop);
    CHECK(room.take_told() == "rang e");
    REQUIRE(add(client, 1));
    REQUIRE(take(client)); // At once: one ring for both, but a ring.
    settle(room.loop);
    CHECK(room.take_told() == "rang e");
    REQUIRE(room.registry.set(room.session.peer, names({"e"}), 1));
    CHECK(room.take_told() == "rang e"); // Told before the next request can undo it.
}

TEST_CASE("an event that nobody cares for any more is not watched")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name}));
    const auto client = *duplicate(*room.object("e").event()->share());
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::everything));
    room.registry.reconsider("e"_name);
    CHECK(room.object("e").watch); // Someone does.

    room.cares = false;
    room.registry.reconsider("e"_name);
    room.take_told();

    REQUIRE(add(client, 1));
    settle(room.loop);
    CHECK(room.take_told().empty());
}

TEST_CASE("of sets alone it rings for every set, also if it is set to begin with, and for no read")
{
    Recorder room;
    REQUIRE(room.create(
        room.session,
        {.name = "e"_name, .mode = Mode::automatic, .initial = protocol::InitialCount{1}}));
    const auto client = *duplicate(*room.object("e").event()->share());
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::sets));
    room.take_told();

    settle(room.loop);
    CHECK(room.take_told() == "rang e");
    REQUIRE(take(client));
    settle(room.loop);
    CHECK(room.take_told().empty());
    REQUIRE(add(client, 1));
    settle(room.loop);
    CHECK(room.take_told() == "rang e");

    // Who hears of everything from now on does not take away the ring that was under way.
    REQUIRE(add(client, 1));
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::everything));
    CHECK(room.take_told() == "rang e");
    REQUIRE(take(client));
    settle(room.loop);
    CHECK(room.take_told() == "rang e");
}

TEST_CASE("of an event that nobody cares for any more one more set is heard, and not told")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .mode = Mode::semaphore}));
    const auto client = *duplicate(*room.object("e").event()->share());
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::sets));
    room.cares = false;
    room.registry.reconsider("e"_name);
    CHECK_FALSE(Registry::is_watched(room.object("e")));
    CHECK(room.object("e").watch); // If it is cared for once more, it is there.
    room.take_told();

    SECTION("until it comes")
    {
        REQUIRE(add(client, 1));
        settle(room.loop);
        CHECK(room.take_told().empty());
        CHECK_FALSE(room.object("e").watch);
    }
    SECTION("unless it is cared for before")
    {
        room.cares = true;
        REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::sets));
        REQUIRE(add(client, 1));
        settle(room.loop);
        CHECK(room.take_told() == "rang e");
    }
}

TEST_CASE("an event that nobody has opened is told of without a watch, until somebody opens it")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .mode = Mode::automatic}));
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::sets));
    CHECK(Registry::is_watched(room.object("e")));
    CHECK_FALSE(room.object("e").watch);
    room.take_told();

    REQUIRE(room.registry.set(room.session.peer, names({"e"}), 1));
    CHECK(room.take_told() == "rang e");

    const auto opened = room.registry.open(room.session, names({"e"}));
    REQUIRE(opened);
    REQUIRE(room.object("e").watch);
    settle(room.loop);
    room.take_told(); // That it is set.
    REQUIRE(add(as_received(*opened->front().file_descriptor), 1));
    settle(room.loop);
    CHECK(room.take_told() == "rang e");
}

TEST_CASE("a manual event that was told of misses no set once somebody has opened it")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "a"_name, .rights = "0666"_rights}));
    REQUIRE(room.registry.watch("a"_name, room.object("a"), Heed::sets));
    const auto opened = room.registry.open(room.other, names({"a"}));
    REQUIRE(opened);
    const auto fd = as_received(*opened->front().file_descriptor);
    room.registry.hear();
    CHECK(room.take_told() == "created a"); // That it was opened is no news.

    REQUIRE(add(fd, 1));
    REQUIRE(take(fd));
    room.registry.hear();

    CHECK(room.take_told() == "rang a");
}

TEST_CASE("what was put back to an event that nobody has opened is told before its deletion, once")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .mode = Mode::automatic}));
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::sets));
    room.take_told();
    const Takings takings{.taken = {{"e"_name, room.object("e").serial}}};
    room.registry.put_back(std::span{&takings, 1}); // It is heard at the end of the turn.

    REQUIRE(room.registry.remove(room.session.peer, names({"e"})));
    CHECK(room.take_told() == "rang e; deleted e");
    settle(room.loop);
    CHECK(room.take_told().empty());
}

TEST_CASE("what was done to an event before its deletion is told before it")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .lifetime = Lifetime::connection}));
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::everything));
    const auto client = *duplicate(*room.object("e").event()->share());
    room.take_told();
    REQUIRE(add(client, 1));

    SECTION("by its owner")
    {
        REQUIRE(room.registry.remove(room.session.peer, names({"e"})));
    }
    SECTION("by the end of its session")
    {
        room.registry.end(room.session);
    }
    CHECK(room.take_told() == "rang e; deleted e");
}

TEST_CASE("the end of a session takes what is its own, and nothing else")
{
    Recorder room;
    const auto lifetime = Lifetime::connection;
    REQUIRE(room.create(room.session, {.name = "mine"_name, .lifetime = lifetime}));
    REQUIRE(room.create(room.session, {.name = "stays"_name}));
    REQUIRE(room.create(room.other, {.name = "others"_name, .lifetime = lifetime}));
    REQUIRE(room.create(room.session, {.name = "again"_name, .lifetime = lifetime}));
    REQUIRE(room.registry.remove(room.session.peer, names({"again"})));
    REQUIRE(room.create(room.other, {.name = "again"_name, .lifetime = lifetime}));
    REQUIRE(room.create(room.other, {.name = "p"_name, .mode = Mode::pulse}));
    REQUIRE(room.registry.open(room.session, names({"p"})));

    room.registry.end(room.session);

    std::string left;
    for (const auto& [name, object] : room.registry.objects())
        left += name.text() + " ";
    CHECK(left == "again others p stays ");
    CHECK(room.quota.used(alice, Resource::objects) == 1);
    CHECK(room.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("a subscription is ended by who has it, and by nobody else")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "p"_name, .mode = Mode::pulse}));
    const auto opened = room.registry.open(room.session, names({"p"}));
    REQUIRE(opened);
    const auto token = *Token::parse(*opened->front().subscription);

    CHECK_FALSE(room.registry.unsubscribe(room.other, token));
    REQUIRE(room.registry.set(room.session.peer, names({"p"}), 1));
    CHECK(take(opened->front().file_descriptor->fd) == 1U);

    CHECK(room.registry.unsubscribe(room.session, token));
    REQUIRE(room.registry.set(room.session.peer, names({"p"}), 1));
    CHECK(take(opened->front().file_descriptor->fd) == 0U);
    CHECK_FALSE(room.registry.unsubscribe(room.session, token));
}

TEST_CASE("a session that creates and deletes without end does not grow")
{
    Recorder room;
    for (int i = 0; i < 2'000; ++i) {
        const auto name = *Name::parse("n/" + std::to_string(i));
        REQUIRE(room.create(room.session,
                            {.name = name, .mode = Mode::pulse, .lifetime = Lifetime::connection}));
        REQUIRE(room.registry.open(room.session, {{name}}));
        REQUIRE(room.registry.remove(room.session.peer, {{name}}));
    }
    CHECK(room.session.owned.size() < 10);
    CHECK(room.session.followings.size() < 10);
}

TEST_CASE("what a session still has is not forgotten while it grows")
{
    Recorder room;
    for (int i = 0; i < 300; ++i) {
        const auto name = *Name::parse("n/" + std::to_string(i));
        REQUIRE(room.create(room.session,
                            {.name = name, .mode = Mode::pulse, .lifetime = Lifetime::connection}));
        REQUIRE(room.registry.open(room.session, {{name}}));
        if (i % 3 == 0)
            REQUIRE(room.registry.remove(room.session.peer, {{name}}));
    }
    CHECK(room.quota.used(alice, Resource::subscriptions) == 200);

    room.registry.end(room.session);

    CHECK(room.registry.objects().empty());
    CHECK(room.quota.used(alice, Resource::subscriptions) == 0);
}

TEST_CASE("what its holders did to an event is reported once and it works on")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name}));
    auto& object = room.object("e");
    const auto held = room.registry.open(room.session, names({"e"}));
    REQUIRE(held);
    const int fd = held->front().file_descriptor->number();
    REQUIRE(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
    REQUIRE(object.event()->shown()->is_blocking);
    CHECK(object.has_reported == std::array{false, false});

    const auto again = room.registry.open(room.session, names({"e"}));
    REQUIRE(again);
    CHECK(object.has_reported.at(static_cast<std::size_t>(Abuse::blocking)));
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK_FALSE(object.event()->shown()->is_blocking);

    REQUIRE(room.registry.watch("e"_name, object, Heed::everything));
    settle(room.loop);
    REQUIRE(add(*held->front().file_descriptor->shared, max_count));
    settle(room.loop);
    CHECK(object.has_reported == std::array{true, true});
    CHECK(room.registry.set(person(alice), names({"e"}), 1)); // More than full.
    CHECK(room.registry.clear(person(alice), names({"e"})));
    CHECK_FALSE(object.event()->is_set());
}

TEST_CASE("who may only wait for an event has one handle of it however often it is opened")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 2);
    Recorder room{limits};
    for (const auto* name : {"a", "b", "c"})
        REQUIRE(room.create(room.session, {.name = *Name::parse(name), .rights = "0664"_rights}));
    const auto open = [&](std::string_view name) {
        return room.registry.open(room.other, names({name}));
    };
    const auto used = [&] { return room.quota.used(bob, Resource::subscriptions); };

    const auto first = open("a");
    const auto second = open("a");
    REQUIRE(first);
    REQUIRE(second);
    CHECK(first->front().file_descriptor->shared == second->front().file_descriptor->shared);
    CHECK(used() == 1);
    REQUIRE(open("b"));
    CHECK(open("a"));
    CHECK(used() == 2);
    Session again{3, person(bob), {}, {}};
    CHECK(verdict(room.registry.open(again, names({"c"}))) == "QuotaExceeded");
    CHECK(used() == 2);

    REQUIRE(room.registry.remove(room.session.peer, names({"a"})));
    CHECK(used() == 1);
    CHECK(open("c"));
    room.other.handles = {};
    CHECK(used() == 0);
}

TEST_CASE("a session may open more events one after the other than it may have handles of")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 2);
    Recorder room{limits};
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        REQUIRE(room.create(room.session, {.name = *Name::parse(name), .rights = "0664"_rights}));
        REQUIRE(room.registry.open(room.other, names({name})));
        CHECK(room.quota.used(bob, Resource::subscriptions) <= 2);
    }
}

TEST_CASE("two users have no handle in common, and two sessions of one user have")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "a"_name, .rights = "0664"_rights}));
    Session again{3, person(bob), {}, {}};
    Session third{4, person(bob + 1), {}, {}};
    const auto handle = [&](Session& session) {
        const auto opened = room.registry.open(session, names({"a"}));
        REQUIRE(opened);
        return opened->front().file_descriptor->shared;
    };
    const auto first = handle(room.other);
    CHECK(handle(again) == first);
    CHECK(handle(third) != first);

    room.other.handles = {};
    CHECK(handle(again) == first);
    CHECK(room.quota.used(bob, Resource::subscriptions) == 1);
}

TEST_CASE("a session does not grow by the handles of events that are gone")
{
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 1);
    Recorder room{limits};
    for (int i = 0; i < 1'000; ++i) {
        REQUIRE(room.create(room.session, {.name = "a"_name, .rights = "0664"_rights}));
        REQUIRE(room.registry.open(room.other, names({"a"})));
        REQUIRE(room.registry.remove(room.session.peer, names({"a"})));
    }
    CHECK(room.other.handles.size() < 1'000 / 5);
}

TEST_CASE("the last descriptors are for users who have few")
{
    constexpr std::int64_t budget = 128;
    Recorder room{default_limits, budget};
    std::int64_t made = 0;
    const auto make = [&](Session& session) {
        const auto name = *Name::parse("n/" + std::to_string(made));
        const auto how = verdict(room.create(session, {.name = name}));
        made += how == "ok" ? 1 : 0;
        return how;
    };
    while (made < budget - budget / 8)
        REQUIRE(make(room.session) == "ok");

    CHECK(make(room.session) == "QuotaExceeded");
    CHECK(make(room.other) == "ok");
    CHECK(make(room.other) == "ok");
    CHECK(make(room.other) == "QuotaExceeded");
    Session root{3, person(0), {}, {}};
    while (made < budget)
        REQUIRE(make(root) == "ok");
    CHECK(make(root) == "OutOfDescriptors");
}

TEST_CASE(
    "an event that is written without end wakes us at a bounded rate and its last ring counts")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name, .mode = Mode::semaphore}));
    REQUIRE(room.registry.watch("e"_name, room.object("e"), Heed::everything));
    const auto written = room.object("e").event()->share();
    settle(room.loop);
    const auto begin = monotonic_now();
    std::uint64_t writes = 0;
    int wakes = 0;
    while (monotonic_now() - begin < 50ms) {
        REQUIRE(add(*written, 1));
        ++writes;
        room.take_told();
        REQUIRE(room.loop.run_once(0ns));
        wakes += room.take_told() == "rang e" ? 1 : 0;
    }
    const auto most = (monotonic_now() - begin) / nanoseconds{min_ring_interval} + 2;
    INFO(writes << " writes");
    CHECK(wakes > 1);
    CHECK(wakes <= most);

    // What was done last is told all the same.
    settle(room.loop);
    room.take_told();
    REQUIRE(add(*written, 1));
    std::string told;
    for (int i = 0; i < 100 && told.empty(); ++i, told = room.take_told())
        REQUIRE(room.loop.run_once(10ms));
    CHECK(told == "rang e");
}

// What a policy does not let one do, the rights of the object being wide open.

// Which right is missing by the policy; "rights", "ok" or another error.
template <class T>
std::string missing(const Outcome<T>& outcome)
{
    if (outcome)
        return "ok";
    const auto* refused = std::get_if<protocol::NotPermitted>(&outcome.error().reason());
    if (!refused)
        return error_name(outcome.error());
    return refused->message.contains("the policy") ? std::string{word(refused->right)} : "rights";
}

TEST_CASE("what the policy does not let one do is refused, whatever the rights of the object are")
{
    const auto [rules, create, open, set, remove] =
        GENERATE(table<std::string, std::string, std::string, std::string, std::string>({
            {"", "ok", "ok", "ok", "ok"},
            {"db/ bob -c", "create", "ok", "ok", "ok"},
            {"db/ bob -w", "ok", "ok", "ok", "ok"}, // It is opened, if only to be set.
            {"db/ bob -s", "ok", "ok", "set", "ok"},
            {"db/ bob -ws", "ok", "wait", "set", "ok"},
            {"db/ bob -d", "ok", "ok", "ok", "own"},
            {"default deny", "create", "wait", "set", "own"},
            {"default deny; db/ bob +cwsd", "ok", "ok", "ok", "ok"},
        }));
    INFO(rules);
    Recorder room;
    for (const auto* name : {"db/e", "db/f"})
        REQUIRE(room.create(room.other, {.name = *Name::parse(name), .rights = "0666"_rights}));
    room.registry.set_policy(policy_of(rules));
    auto& registry = room.registry;
    const auto& peer = room.other.peer; // bob, whose they are.

    CHECK(missing(room.create(room.other, {.name = "db/new"_name})) == create);
    CHECK((registry.find("db/new"_name) != nullptr) == (create == "ok"));
    CHECK(missing(registry.open(room.other, names({"db/e"}))) == open);
    CHECK(missing(registry.set(peer, names({"db/e"}), 1)) == set);
    CHECK(room.object("db/e").event()->is_set() == (set == "ok"));
    CHECK(missing(registry.clear(peer, names({"db/e"}))) == set);
    CHECK(missing(registry.set_rights(peer, "db/f"_name, "0600"_rights)) == remove);
    CHECK((room.object("db/f").ownership.rights == "0600"_rights) == (remove == "ok"));
    CHECK(missing(registry.remove(peer, names({"db/e"}))) == remove);
    CHECK((registry.find("db/e"_name) == nullptr) == (remove == "ok"));
    // Who is refused nothing by a policy, and who has no right to it in spite of that.
    const auto by_root = registry.set(person(0), names({"db/f"}), 1);
    CHECK(by_root);
    registry.set_policy({});
    REQUIRE(registry.set_rights(person(0), "db/f"_name, "0600"_rights));
    registry.set_policy(policy_of("db/ * +cwsd"));
    CHECK(missing(registry.set(person(alice), names({"db/f"}), 1)) == "rights");
    CHECK(missing(registry.remove(person(alice), names({"db/f"}))) == "rights");
}

TEST_CASE("what open hands over follows from the policy and the rights together")
{
    struct Case {
        std::string rules;
        std::string rights; // For bob, who is one of the others.
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
    INFO(one.rules << " with rights " << one.rights);
    Recorder room;
    REQUIRE(room.create(room.session,
                        {.name = "e"_name, .mode = mode, .rights = *Rights::parse(one.rights)}));
    room.registry.set_policy(policy_of(one.rules));

    const auto opened = room.registry.open(room.other, names({"e"}));

    REQUIRE(opened);
    CHECK(opened->front().may_wait == one.may_wait);
    CHECK(opened->front().may_set == one.may_set);
    REQUIRE(opened->front().file_descriptor.has_value() == one.may_wait);
    if (one.may_wait && mode == Mode::manual)
        CHECK(add(as_received(*opened->front().file_descriptor), 1).has_value() == one.may_set);
}

TEST_CASE("between a right that the rights lack and one that the policy does nobody opens anything")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "r"_name, .rights = "0664"_rights}));
    REQUIRE(room.create(room.session, {.name = "w"_name, .rights = "0662"_rights}));
    room.registry.set_policy(policy_of("r bob -w; w bob -s"));
    CHECK(missing(room.registry.open(room.other, names({"r"}))) == "wait");
    CHECK(missing(room.registry.open(room.other, names({"w"}))) == "rights");
}

TEST_CASE("an event that is there already is created by nobody, so the policy is not asked")
{
    Recorder room;
    REQUIRE(room.create(room.session, {.name = "e"_name}));
    room.registry.set_policy(policy_of("default deny"));
    CHECK(room.create(room.session, {.name = "e"_name, .if_missing = true}) == false);
    CHECK(missing(room.create(room.session, {.name = "e"_name})) == "NameTaken");
}

TEST_CASE("what the administrator declares is made whatever the policy says")
{
    Recorder room;
    room.registry.set_policy(policy_of("default deny"));
    constexpr auto given = Registry::Leave::given;
    for (const auto* name : {"e", "user/2002/e", "user/x"})
        CHECK(room.registry.create(room.session, {.name = *Name::parse(name)}, given) == true);
    CHECK(room.registry.arm(room.session, {.name = "t"_name, .after = 1h, .sets = "e"_name},
                            given) == true);
    REQUIRE(room.registry.create(room.other, {.name = "bobs"_name}, given));
    CHECK(missing(room.registry.arm(room.session,
                                    {.name = "u"_name, .after = 1h, .sets = "bobs"_name}, given)) ==
          "rights");
}

TEST_CASE("below user everyone makes and uses what is his own")
{
    Recorder room;
    room.registry.set_policy(policy_of("default deny"));
    const auto make = [&](Session& session, const char* name) {
        const auto made = room.create(
            session, {.name = *Name::parse(name), .rights = "0666"_rights, .if_missing = true});
        return made ? "ok"s : std::get<protocol::NotPermitted>(made.error().reason()).message;
    };
    CHECK(make(room.session, "user/2001/a") == "ok");
    CHECK(make(room.session, "user/2001") == "ok");
    CHECK(make(room.other, "user/2001/b").contains("for uid 2001 and root alone"));
    CHECK(make(room.session, "user/x").contains("for root alone; names under 'user/2001/'"));
    CHECK(verdict(room.registry.set(room.session.peer, names({"user/2001/a"}), 1)) == "ok");
    CHECK(verdict(room.registry.set(room.other.peer, names({"user/2001/a"}), 1)) == "NotPermitted");
    CHECK(verdict(room.registry.open(room.other, names({"user/2001/a"}))) == "NotPermitted");
    CHECK(verdict(room.registry.set(person(0), names({"user/2001/a"}), 1)) == "ok");
    CHECK(verdict(room.registry.remove(room.session.peer, names({"user/2001/a"}))) == "ok");
}

} // namespace
} // namespace evfd::daemon
