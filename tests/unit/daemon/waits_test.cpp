#include "daemon/waiting/waits.h"

#include "tests/support/service_fixture.h"
#include "tests/support/policy_fixture.h"

#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

constexpr auto all = Gather::all;
constexpr auto any = Gather::any;

// One who waits.
struct Waiter {
    std::shared_ptr<int> wakes = std::make_shared<int>(0);
    Outcome<std::unique_ptr<Wait>> started;

    // "waits", what fired with its counts, or the error.
    std::string state()
    {
        if (!started)
            return error_name(started.error());
        const auto& outcome = (*started)->outcome();
        if (!outcome)
            return "waits";
        if (!*outcome)
            return error_name(outcome->error());
        std::string text;
        for (const auto& [name, count] : (*outcome)->fired)
            text += (text.empty() ? "" : " ") + name.text() + "=" + std::to_string(count);
        return text;
    }
};

Waiter start(Hall& hall, protocol::Wait request, uid_t uid = alice)
{
    auto charge = hall.quota.take(uid, Resource::waits);
    REQUIRE(charge);
    auto wakes = std::make_shared<int>(0);
    return {wakes,
            hall.waits.start(person(uid), *std::move(charge), request, [wakes] { ++*wakes; })};
}

Waiter start(Hall& hall, std::initializer_list<std::string_view> list, Gather gather = all)
{
    return start(hall, {.names = names(list), .gather = gather});
}

void set(Hall& hall, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(hall.registry.set(hall.owner.peer, names({name}), tokens));
}

TEST_CASE("who waits for several of what is made later has them, or hears that it is not counted")
{
    Hall hall;
    auto waiter =
        start(hall, {.names = names({"later"}), .gather = all, .count = protocol::Count{2}});
    REQUIRE(waiter.state() == "waits");
    const auto [mode, state] = GENERATE(table<Mode, std::string>(
        {{Mode::manual, "WrongKind"}, {Mode::semaphore, "WrongKind"}, {Mode::pulse, "later=2"}}));
    hall.create("later", mode);
    set(hall, "later", 2);
    CHECK(waiter.state() == state);
    CHECK(*waiter.wakes == 1);
}

TEST_CASE("a wait for what is set is over at once, and takes what a wait takes")
{
    const auto [mode, left] = GENERATE(table<Mode, std::uint64_t>(
        {{Mode::manual, 2}, {Mode::automatic, 0}, {Mode::semaphore, 1}}));
    Hall hall;
    hall.create("e", mode, 2);
    CHECK(start(hall, {"e"}).state() == "e=1");
    CHECK(hall.event("e").count() == left);
}

TEST_CASE("a wait is woken once, by a set through the daemon and by one on the descriptor")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const bool is_direct = GENERATE(false, true);
    Hall hall;
    hall.create("e", mode);
    const auto client = hall.open("e");
    auto waiter = start(hall, {"e"});
    CHECK(waiter.state() == "waits");

    if (is_direct)
        REQUIRE(add(client, 1));
    else
        set(hall, "e");
    settle(hall.loop);

    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakes == 1);
    CHECK(hall.waits.waiting_for("e"_name) == 0);
    CHECK_FALSE(
        Registry::is_watched(*hall.registry.find("e"_name))); // Nobody asks to hear of it any more.
}

TEST_CASE("any is over with the first of its names that is set, and takes no other")
{
    Hall hall;
    hall.create("a", Mode::semaphore);
    hall.create("b", Mode::semaphore);
    auto waiter = start(hall, {"a", "b"}, any);
    set(hall, "b");
    set(hall, "a");
    CHECK(waiter.state() == "b=1");
    CHECK(hall.event("a").count() == 1U);
    CHECK(hall.event("b").count() == 0U);
}

TEST_CASE("all takes from all at once or from none, and names them in order")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("b", Mode::semaphore);
    hall.create("c", Mode::manual);
    auto waiter = start(hall, {"c", "b", "a"});
    set(hall, "a");
    set(hall, "c");
    CHECK(waiter.state() == "waits");
    CHECK(hall.event("a").is_set()); // Nothing is kept of what takes.

    set(hall, "b", 2);

    CHECK(waiter.state() == "c=1 b=1 a=1");
    CHECK_FALSE(hall.event("a").is_set());
    CHECK(hall.event("b").count() == 1U);
    CHECK(hall.event("c").is_set());
}

TEST_CASE("while a wait for all is not complete, others may take what it needs")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("b", Mode::automatic);
    auto both = start(hall, {"a", "b"});
    auto one = start(hall, {"a"});

    set(hall, "a");
    CHECK(one.state() == "a=1");
    set(hall, "b");
    CHECK(both.state() == "waits");
    set(hall, "a");
    CHECK(both.state() == "a=1 b=1");
}

TEST_CASE("for all it is enough that a manual event was set since the wait began")
{
    Hall hall;
    hall.create("m");
    hall.create("a", Mode::automatic);
    const auto client = hall.open("m");
    const bool was_set_before = GENERATE(false, true);
    if (was_set_before)
        REQUIRE(add(client, 1));
    auto waiter = start(hall, {"m", "a"});
    if (!was_set_before)
        REQUIRE(add(client, 1));
    REQUIRE(take(client)); // Cleared at once.
    settle(hall.loop);
    CHECK(waiter.state() == "waits");

    set(hall, "a");

    CHECK(waiter.state() == "m=1 a=1");
}

TEST_CASE("what happens while another one is missing counts in the end for all")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("m");
    hall.create("p", Mode::pulse);
    const auto client = hall.open("m");
    auto waiter = start(hall, {"a", "m", "p"});
    set(hall, "p");
    REQUIRE(add(client, 1));
    settle(hall.loop);
    REQUIRE(take(client));
    settle(hall.loop);
    set(hall, "p", 2);
    CHECK(waiter.state() == "waits");

    set(hall, "a");

    CHECK(waiter.state() == "a=1 m=1 p=3");
    CHECK(*waiter.wakes == 1);
}

TEST_CASE("a manual event set and cleared at once releases all who waited and no later one")
{
    Hall hall;
    hall.create("m");
    const auto client = hall.open("m");
    std::deque<Waiter> waiters;
    for (int i = 0; i < 50; ++i)
        waiters.push_back(start(hall, {"m"}));

    REQUIRE(add(client, 1));
    REQUIRE(take(client));
    auto later = start(hall, {"m"}); // Before the loop turns.

    settle(hall.loop);
    for (auto& waiter : waiters)
        CHECK(waiter.state() == "m=1");
    CHECK(later.state() == "waits");

    REQUIRE(add(client, 1));
    settle(hall.loop);
    CHECK(later.state() == "m=1");
}

TEST_CASE("a clear through the daemon comes after what was set before it")
{
    Hall hall;
    hall.create("m");
    const auto client = hall.open("m");
    auto waiter = start(hall, {"m"});
    REQUIRE(add(client, 1));
    REQUIRE(hall.registry.clear(hall.owner.peer, names({"m"})));
    CHECK(waiter.state() == "m=1");

    auto later = start(hall, {"m"});
    settle(hall.loop); // The clear itself rings.
    CHECK(later.state() == "waits");
}

TEST_CASE("a wait for names that are not there yet goes on when they come")
{
    const auto gather = GENERATE(any, all);
    Hall hall;
    auto waiter = start(hall, {"later"}, gather);
    CHECK(waiter.state() == "waits");

    SECTION("set from the start")
    {
        hall.create("later", Mode::automatic, 1);
        CHECK_FALSE(hall.event("later").is_set());
    }
    SECTION("set afterwards on the descriptor")
    {
        hall.create("later", Mode::automatic);
        CHECK(waiter.state() == "waits");
        REQUIRE(add(hall.open("later"), 1));
        settle(hall.loop);
    }
    CHECK(waiter.state() == "later=1");
}

TEST_CASE("only names that are there can be waited for where that is asked")
{
    Hall hall;
    hall.create("there", Mode::automatic, 1);
    auto waiter = start(hall, {.names = names({"there", "missing"}), .existing = true});
    CHECK(waiter.state() == "NoSuchName");
    CHECK(hall.event("there").is_set());
}

TEST_CASE("a deletion ends every wait for the name, also one for any")
{
    const auto gather = GENERATE(any, all);
    Hall hall;
    hall.create("a");
    hall.create("b");
    auto waiter = start(hall, {"a", "b"}, gather);
    REQUIRE(hall.registry.remove(hall.owner.peer, names({"a"})));
    CHECK(waiter.state() == "Deleted");
    CHECK(*waiter.wakes == 1);
    CHECK(hall.waits.waiting_for("b"_name) == 0);
    CHECK_FALSE(hall.registry.find("b"_name)->watch);
}

TEST_CASE("a set on the descriptor just before the deletion still releases")
{
    Hall hall;
    hall.create("m");
    auto waiter = start(hall, {"m"});
    REQUIRE(add(hall.open("m"), 1));
    REQUIRE(hall.registry.remove(hall.owner.peer, names({"m"})));
    CHECK(waiter.state() == "m=1");
}

TEST_CASE("who may not wait is refused, at the start or at the creation")
{
    Hall hall;
    auto early = start(hall, {.names = names({"e"})}, bob);
    CHECK(early.state() == "waits");
    hall.create("e", Mode::automatic, 1, "0622"_rights);

    CHECK(early.state() == "NotPermitted");
    CHECK(start(hall, {.names = names({"e"})}, bob).state() == "NotPermitted");
    CHECK(hall.event("e").is_set());
    CHECK(hall.waits.waiting_for("e"_name) == 0);
}

TEST_CASE("a timeout of zero looks once and takes what is there")
{
    Hall hall;
    hall.create("e", Mode::semaphore, 1);
    const protocol::Wait look{.names = names({"e"}), .timeout = 0ns};
    CHECK(start(hall, look).state() == "e=1");
    CHECK(start(hall, look).state() == "TimedOut");
    CHECK(hall.waits.waiting_for("e"_name) == 0);
}

TEST_CASE("a wait that is not over in time is TimedOut, and takes nothing afterwards")
{
    Hall hall;
    hall.create("e", Mode::automatic);
    auto waiter = start(hall, {.names = names({"e", "missing"}), .timeout = 1ms});
    while (waiter.state() == "waits")
        REQUIRE(hall.loop.run_once(20s));
    CHECK(waiter.state() == "TimedOut");
    CHECK(*waiter.wakes == 1);

    set(hall, "e");
    CHECK(hall.event("e").is_set());
}

TEST_CASE("a wait that is over in time does not time out afterwards")
{
    Hall hall;
    hall.create("e");
    auto waiter = start(hall, {.names = names({"e"}), .timeout = 1ms});
    set(hall, "e");
    auto other = start(hall, {.names = names({"never"}), .timeout = 2ms});
    while (other.state() == "waits")
        REQUIRE(hall.loop.run_once(20s));
    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakes == 1);
}

TEST_CASE("what was set before the time was up counts, however busy the loop is")
{
    Hall hall;
    const auto noisy = *make_eventfd(1, Counter::plain);
    std::deque<UniqueFd> fds;
    std::deque<EventLoop::Watch> watches;
    for (std::size_t i = 0; i < EventLoop::batch; ++i) // One whole turn goes to others.
        watches.push_back(
            *hall.loop.watch(fds.emplace_back(*duplicate(noisy)), EPOLLIN, [](auto) {}));
    hall.create("e");
    auto waiter = start(hall, {.names = names({"e"}), .timeout = 1ns});
    REQUIRE(add(hall.open("e"), 1));

    while (waiter.state() == "waits")
        REQUIRE(hall.loop.run_once(20s));
    CHECK(waiter.state() == "e=1");
}

TEST_CASE("a wait counts the pulses since it began, and hears of none before")
{
    Hall hall;
    hall.create("p", Mode::pulse);
    hall.create("a", Mode::automatic);
    set(hall, "p", 7);
    auto one = start(hall, {"p"}, any);
    auto both = start(hall, {"a", "p"});
    CHECK(one.state() == "waits");

    set(hall, "p", 2);
    CHECK(one.state() == "p=2");
    set(hall, "p", 3);
    CHECK(both.state() == "waits");
    set(hall, "a");
    CHECK(both.state() == "a=1 p=5");
}

TEST_CASE("a wait that nobody wants any more leaves no trace")
{
    Hall hall;
    hall.create("e", Mode::automatic);
    {
        auto waiter = start(hall, {.names = names({"e", "missing"}), .timeout = 1h});
        CHECK(hall.waits.waiting_for("e"_name) == 1);
        CHECK(hall.waits.waiting_for("missing"_name) == 1);
        CHECK(hall.quota.used(alice, Resource::waits) == 1);
    }
    CHECK(hall.waits.waiting_for("e"_name) == 0);
    CHECK(hall.waits.waiting_for("missing"_name) == 0);
    CHECK(hall.quota.used(alice, Resource::waits) == 0);
    CHECK_FALSE(hall.registry.find("e"_name)->watch);
    set(hall, "e");
    settle(hall.loop);
    CHECK(hall.event("e").is_set());
}

TEST_CASE("whom the policy does not let wait is refused at once, also where nothing is there yet")
{
    Hall hall;
    hall.create("db/e", Mode::manual, 1);
    hall.registry.set_policy(policy_of("db/ alice -w"));
    CHECK(start(hall, {"db/e"}).state() == "NotPermitted");
    CHECK(start(hall, {"db/later"}).state() == "NotPermitted");
    CHECK(start(hall, {"later", "db/later"}, any).state() == "NotPermitted");
    CHECK(start(hall, {.names = names({"db/e"})}, bob).state() == "db/e=1");
    CHECK(start(hall, {.names = names({"db/later"})}, 0).state() == "waits");
    CHECK(start(hall, {.names = names({"user/2002/x"})}).state() == "NotPermitted");
    CHECK(start(hall, {.names = names({"user/2001/x"})}).state() == "waits");
    CHECK(hall.waits.waiting_for("db/later"_name) == 0); // They are gone again.
}

TEST_CASE("a wait that a new policy does not allow ends there and then, and no other does")
{
    Hall hall;
    hall.create("db/e", Mode::automatic);
    auto by_alice = start(hall, {"db/e"});
    auto for_more = start(hall, {"e", "db/later"}, any);
    auto for_other = start(hall, {"e"});
    auto by_bob = start(hall, {.names = names({"db/e"})}, bob);

    hall.registry.set_policy(policy_of("db/ alice -w"));
    hall.waits.policy_changed();

    CHECK(by_alice.state() == "NotPermitted");
    CHECK(*by_alice.wakes == 1);
    CHECK(for_more.state() == "NotPermitted");
    CHECK(*for_more.wakes == 1);
    CHECK(for_other.state() == "waits");
    CHECK(by_bob.state() == "waits");
    CHECK(hall.waits.waiting_for("db/e"_name) == 1);
    CHECK(hall.waits.waiting_for("db/later"_name) == 0);
    CHECK(Registry::is_watched(*hall.registry.find("db/e"_name)));
    set(hall, "db/e");
    CHECK(by_bob.state() == "db/e=1");
}

TEST_CASE("what was set before the policy changed still ends the wait for it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    Hall hall;
    hall.create("e", mode);
    const auto client = hall.open("e");
    auto waiter = start(hall, {"e"});
    REQUIRE(add(client, 1)); // Which nobody has heard yet.

    hall.registry.set_policy(policy_of("default deny"));
    hall.waits.policy_changed();

    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakes == 1);
}

TEST_CASE("a wait that new rights do not allow ends there and then, and no other does")
{
    Hall hall;
    hall.create("e");
    hall.create("a", Mode::automatic);
    auto by_bob = start(hall, {.names = names({"e"})}, bob);
    auto to_consume = start(hall, {.names = names({"a"})}, bob);
    auto by_owner = start(hall, {"e", "a"}, any);
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "a"_name, "0644"_rights));
    CHECK(to_consume.state() == "NotPermitted");
    CHECK(*to_consume.wakes == 1);
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "e"_name, "0644"_rights));
    CHECK(by_bob.state() == "waits");
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "e"_name, "0600"_rights));
    CHECK(by_bob.state() == "NotPermitted");
    CHECK(by_owner.state() == "waits");
}

TEST_CASE("what was set before the rights changed still ends the wait for it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    Hall hall;
    hall.create("e", mode);
    const auto client = hall.open("e");
    auto waiter = start(hall, {.names = names({"e"})}, bob);
    REQUIRE(add(client, 1)); // Which nobody has heard yet.
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "e"_name, "0600"_rights));
    CHECK(waiter.state() == "e=1");
}

TEST_CASE("to consume takes the right to wait and the right to set, by the rights and the policy")
{
    struct Case {
        Mode mode;
        std::string rights;
        std::string rules;
        std::string state;
    };
    const auto [mode, rights, rules, state] = GENERATE(values<Case>({
        {Mode::automatic, "0666", "", "e=1"},
        {Mode::automatic, "0664", "", "NotPermitted"},
        {Mode::automatic, "0662", "", "NotPermitted"},
        {Mode::semaphore, "0666", "", "e=1"},
        {Mode::semaphore, "0664", "", "NotPermitted"},
        {Mode::semaphore, "0662", "", "NotPermitted"},
        {Mode::automatic, "0666", "e bob -s", "NotPermitted"},
        {Mode::semaphore, "0666", "default deny; e bob +w", "NotPermitted"},
        {Mode::semaphore, "0666", "default deny; e bob +ws", "e=1"},
        {Mode::manual, "0664", "", "e=1"},
        {Mode::manual, "0666", "default deny; e bob +w", "e=1"},
    }));
    CAPTURE(mode, rights, rules);
    Hall hall;
    hall.create("e", mode, 1, *Rights::parse(rights));
    hall.registry.set_policy(policy_of(rules));

    CHECK(start(hall, {.names = names({"e"}), .timeout = 0ns}, bob).state() == state);
    CHECK(hall.event("e").is_set() == (state == "NotPermitted" || mode == Mode::manual));
}

TEST_CASE("who waits for what is made later hears then that it may not consume")
{
    Hall hall;
    auto waiter = start(hall, {.names = names({"later"})}, bob);
    hall.create("later", GENERATE(Mode::automatic, Mode::semaphore), 1, "0664"_rights);
    CHECK(waiter.state() == "NotPermitted");
    CHECK(hall.event("later").is_set());
}

TEST_CASE("a policy that forbids to set ends the waits that consume, and no other")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("m");
    auto to_consume = start(hall, {.names = names({"a"})}, bob);
    auto to_look = start(hall, {.names = names({"m"})}, bob);
    auto for_later = start(hall, {.names = names({"later"})}, bob);
    hall.registry.set_policy(policy_of("\"\" bob -s"));
    hall.waits.policy_changed();
    CHECK(to_consume.state() == "NotPermitted");
    CHECK(to_look.state() == "waits");
    CHECK(for_later.state() == "waits");
}

TEST_CASE("a token that came as somebody began to monitor its event is for who waits all the same")
{
    Hall hall;
    hall.create("e", Mode::automatic);
    const auto client = hall.open("e");
    auto waiter = start(hall, {"e"});
    REQUIRE(add(client, 1));
    const auto monitor =
        hall.monitors.start(person(alice), *hall.quota.take(alice, Resource::monitors), Pattern{},
                            Hearing::changes, [] {});
    for (auto news = monitor->next(); news && news->change != Change::ready;)
        news = monitor->next();
    settle(hall.loop);
    CHECK(waiter.state() == "e=1");
}

TEST_CASE("an event that somebody opens while others wait for it wakes them as before")
{
    const auto gather = GENERATE(Gather::any, Gather::all);
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("b", Mode::semaphore);
    auto waiter = start(hall, {"a", "b"}, gather);
    const auto a = hall.open("a"); // From now on it is watched; b is still told of.
    REQUIRE(add(a, 1));
    settle(hall.loop);
    CHECK(waiter.state() == (gather == Gather::any ? "a=1" : "waits"));
    if (gather == Gather::any)
        return;
    set(hall, "b");
    CHECK(waiter.state() == "a=1 b=1");
}

TEST_CASE("who begins to wait as the last of the earlier ones goes is not forgotten")
{
    Hall hall;
    for (const auto* name : {"a", "b", "c"})
        hall.create(name, Mode::automatic);
    const auto earlier = start(hall, {"a"});
    const auto a = hall.open("a");
    // When this one wakes, it sets what the earlier one waits for, without the daemon.
    const auto other = hall.waits.start(person(alice), *hall.quota.take(alice, Resource::waits),
                                        {.names = names({"b"})}, [&] { REQUIRE(add(a, 1)); });
    REQUIRE(add(hall.open("b"), 1));

    auto waiter = start(hall, {"a", "c"});
    settle(hall.loop);
    CHECK(*earlier.wakes == 1);
    REQUIRE(add(hall.open("c"), 1));
    settle(hall.loop);
    CHECK(waiter.state() == "waits");
    REQUIRE(add(a, 1));
    settle(hall.loop);
    CHECK(waiter.state() == "a=1 c=1");
}

} // namespace
} // namespace evfd::daemon
