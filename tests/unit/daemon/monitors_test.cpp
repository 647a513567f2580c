#include "daemon/waiting/monitors.h"

#include "tests/support/service_fixture.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

struct Watcher {
    std::shared_ptr<int> wakes;
    std::unique_ptr<Monitor> monitor;
    std::int64_t last = 0;

    // All that there is to tell now: "present a; ready".
    std::string told(std::size_t at_most = 100'000)
    {
        std::string text;
        for (std::size_t i = 0; i < at_most; ++i) {
            const auto news = monitor->next();
            if (!news)
                break;
            CHECK(news->sequence == ++last);
            text += (text.empty() ? "" : "; ") + std::string{word(news->change)};
            if (news->name)
                text += " " + news->name->text();
        }
        return text;
    }
};

Watcher monitor(Hall& hall, Pattern pattern = {}, uid_t uid = alice,
                Hearing hearing = Hearing::changes)
{
    auto wakes = std::make_shared<int>(0);
    auto started = hall.monitors.start(person(uid), *hall.quota.take(uid, Resource::monitors),
                                       std::move(pattern), hearing, [wakes] { ++*wakes; });
    return {wakes, std::move(started)};
}

std::unique_ptr<Wait> begin_wait(Hall& hall, std::initializer_list<std::string_view> list)
{
    auto wait = hall.waits.start(person(bob), *hall.quota.take(bob, Resource::waits),
                                 {.names = names(list)}, [] {});
    REQUIRE(wait);
    return *std::move(wait);
}

void remove(Hall& hall, std::string_view name)
{
    REQUIRE(hall.registry.remove(hall.owner.peer, names({name})));
}

std::size_t occurrences(std::string_view text, std::string_view of)
{
    std::size_t n = 0;
    for (auto at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1))
        ++n;
    return n;
}

void change_policy(Hall& hall, std::string_view rules)
{
    hall.monitors.policy_changed(hall.registry.set_policy(policy_of(rules)));
}

TEST_CASE("a monitor is told the state first, then that it is ready, then every change")
{
    Hall hall;
    hall.create("b");
    hall.create("a", Mode::pulse);
    auto watcher = monitor(hall);
    CHECK(watcher.told() == "present a; present b; ready");
    CHECK(watcher.told().empty());

    const auto client = hall.open("b");
    REQUIRE(add(client, 1));
    settle(hall.loop);
    CHECK(*watcher.wakes == 1);
    CHECK(watcher.told() == "changed b");
    REQUIRE(take(client)); // A clear on the descriptor.
    settle(hall.loop);
    CHECK(watcher.told() == "changed b");
    REQUIRE(hall.registry.set(hall.owner.peer, names({"a"}), 1));
    CHECK(watcher.told() == "changed a");
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "b"_name, "0600"_rights));
    CHECK(watcher.told() == "changed b");
    hall.create("c");
    CHECK(watcher.told() == "created c");
    remove(hall, "a");
    CHECK(watcher.told() == "deleted a");
}

TEST_CASE("a monitor of nothing is ready at once")
{
    Hall hall;
    CHECK(monitor(hall).told() == "ready");
}

TEST_CASE("a monitor hears only of the names that it asked for")
{
    Hall hall;
    hall.create("db/a");
    hall.create("web");
    auto watcher = monitor(hall, "db/*"_pattern);
    CHECK(watcher.told() == "present db/a; ready");
    hall.create("db/b");
    hall.create("web2");
    remove(hall, "web");
    CHECK(watcher.told() == "created db/b");
    CHECK_FALSE(hall.registry.find("web2"_name)->watch);
    CHECK(hall.registry.find("db/b"_name)->watch);
}

TEST_CASE("what happens while the state is being told is told once: as the state, or after it")
{
    Hall hall;
    for (const auto* name : {"b", "d", "f"})
        hall.create(name);
    auto watcher = monitor(hall);
    CHECK(watcher.told(1) == "present b");

    hall.create("a"); // Behind what was told,
    hall.create("e"); // and before it.
    remove(hall, "b");
    remove(hall, "d");
    REQUIRE(hall.registry.set(hall.owner.peer, names({"f"}), 1));

    CHECK(watcher.told() == "present e; present f; ready; created a; deleted b");
}

TEST_CASE("who reads slowly hears of several changes of an object as one")
{
    struct Case {
        std::string what; // c: create, s: set, r: rights, d: delete.
        bool was_there;
        std::string told;
    };
    const auto c = GENERATE(values<Case>({
        {"sss", true, "changed x"},
        {"sr", true, "changed x"},
        {"sd", true, "deleted x"},
        {"d", true, "deleted x"},
        {"dc", true, "deleted x; created x"},
        {"dcs", true, "deleted x; created x"},
        {"dcd", true, "deleted x"},
        {"dcdc", true, "deleted x; created x"},
        {"c", false, "created x"},
        {"csr", false, "created x"},
        {"cd", false, ""},
        {"cdc", false, "created x"},
        {"cdcd", false, ""},
    }));
    INFO(c.what);
    Hall hall;
    if (c.was_there)
        hall.create("x");
    auto watcher = monitor(hall);
    watcher.told();

    for (const char step : c.what) {
        if (step == 'c')
            hall.create("x");
        if (step == 's')
            REQUIRE(hall.registry.set(hall.owner.peer, names({"x"}), 1));
        if (step == 'r')
            REQUIRE(hall.registry.set_rights(hall.owner.peer, "x"_name, "0600"_rights));
        if (step == 'd')
            remove(hall, "x");
    }

    CHECK(watcher.told() == c.told);
}

TEST_CASE("an object that goes again between its deletion and its creation being told is not told")
{
    Hall hall;
    hall.create("x");
    auto watcher = monitor(hall);
    watcher.told();
    remove(hall, "x");
    hall.create("x");
    CHECK(watcher.told(1) == "deleted x");
    remove(hall, "x");
    CHECK(watcher.told().empty());
}

TEST_CASE("as many untold changes as the limit are told one by one, with one more all anew")
{
    const auto too_many = GENERATE(false, true);
    Hall hall;
    auto watcher = monitor(hall);
    CHECK(watcher.told() == "ready");
    const auto objects = max_untold_changes + (too_many ? 1 : 0);
    for (std::size_t i = 0; i < objects; ++i)
        hall.create("n/" + std::to_string(i), Mode::pulse);
    CHECK(*watcher.wakes > 0);

    const auto told = watcher.told();

    CHECK(occurrences(told, "created n/") == (too_many ? 0 : objects));
    CHECK(occurrences(told, "present n/") == (too_many ? objects : 0));
    CHECK(told.starts_with(too_many ? "resync; present n/0; " : "created n/0; "));
    CHECK(told.ends_with("; ready") == too_many);

    hall.create("later");
    CHECK(watcher.told() == "created later");
}

TEST_CASE("a resync while the state is being told begins it anew")
{
    Hall hall;
    for (std::size_t i = 0; i <= max_untold_changes; ++i)
        hall.create("n/" + std::to_string(i), Mode::pulse);
    hall.create("z");
    auto watcher = monitor(hall);
    CHECK(occurrences(watcher.told(max_untold_changes + 1), "present") == max_untold_changes + 1);
    for (std::size_t i = 0; i <= max_untold_changes; ++i)
        remove(hall, "n/" + std::to_string(i));
    CHECK(watcher.told() == "resync; present z; ready");
}

TEST_CASE("an object that one may neither wait for nor set is not there for one's monitor")
{
    Hall hall;
    hall.create("hidden", Mode::manual, 0, "0660"_rights);
    auto watcher = monitor(hall, {}, bob, Hearing::attendance);
    CHECK(watcher.told() == "ready");
    hall.create("secret", Mode::manual, 0, "0600"_rights);
    REQUIRE(hall.registry.set(hall.owner.peer, names({"secret"}), 1));
    hall.monitors.attended("secret"_name);
    settle(hall.loop);
    CHECK(watcher.told().empty());
    CHECK(*watcher.wakes == 0);

    const auto shown = GENERATE("0604"_rights, "0602"_rights);
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, shown));
    CHECK(watcher.told() == "created secret");
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, "0600"_rights));
    CHECK(watcher.told() == "deleted secret");
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, shown));
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, "0600"_rights));
    CHECK(watcher.told().empty());
    remove(hall, "secret");
    remove(hall, "hidden");
    CHECK(watcher.told().empty());
}

TEST_CASE("a new policy hides objects from a monitor and shows them again")
{
    Hall hall;
    hall.create("db/e");
    auto stranger = monitor(hall, {}, bob);
    CHECK(stranger.told() == "present db/e; ready");
    change_policy(hall, "db/ bob -ws");
    CHECK(stranger.told() == "deleted db/e");
    change_policy(hall, "db/ bob -w");
    CHECK(stranger.told() == "created db/e");
}

TEST_CASE("sets and clears are told only to those who may wait, what there is to those who may set")
{
    Hall hall;
    hall.create("secret", Mode::manual, 0, "0602"_rights);
    auto watcher = monitor(hall, {}, bob);
    CHECK(watcher.told() == "present secret; ready");
    CHECK_FALSE(hall.registry.find("secret"_name)->watch);

    REQUIRE(hall.registry.set(hall.owner.peer, names({"secret"}), 1));
    settle(hall.loop);
    CHECK(watcher.told().empty());

    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, "0644"_rights));
    CHECK(watcher.told() == "changed secret");
    REQUIRE(add(hall.open("secret"), 1));
    settle(hall.loop);
    CHECK(watcher.told() == "changed secret");

    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, "0602"_rights));
    CHECK(watcher.told() == "changed secret");
    CHECK_FALSE(hall.registry.find("secret"_name)->watch);
    remove(hall, "secret");
    CHECK(watcher.told() == "deleted secret");
}

TEST_CASE("several monitors each hear everything, and the watch lasts as long as the last of them")
{
    Hall hall;
    hall.create("a");
    auto one = monitor(hall);
    auto two = monitor(hall, "a"_pattern);
    one.told();
    two.told();
    REQUIRE(hall.registry.set(hall.owner.peer, names({"a"}), 1));
    CHECK(one.told() == "changed a");
    CHECK(two.told() == "changed a");

    one.monitor.reset();
    CHECK(hall.registry.find("a"_name)->watch);
    REQUIRE(add(hall.open("a"), 1));
    settle(hall.loop);
    CHECK(two.told() == "changed a");
    two.monitor.reset();
    settle(hall.loop);
    CHECK_FALSE(hall.registry.find("a"_name)->watch);
    CHECK(hall.quota.used(alice, Resource::monitors) == 0);
}

TEST_CASE("a monitor hears of a timer's arming, expiry, disarming and deletion")
{
    Hall hall;
    auto watcher = monitor(hall);
    CHECK(watcher.told() == "ready");
    const auto arm = [&](const protocol::Arm& request) {
        REQUIRE(hall.registry.arm(hall.owner, request));
    };
    const auto next = [&] {
        std::string told;
        REQUIRE(turn_until(hall.loop, [&] { return !(told = watcher.told()).empty(); }));
        return told;
    };
    arm({.name = "t"_name, .after = 1h});
    CHECK(watcher.told() == "created t");
    arm({.name = "t"_name, .after = 1ns});
    CHECK(watcher.told() == "changed t"); // Armed anew.
    CHECK(next() == "changed t");         // Expired.
    settle(hall.loop);
    CHECK(watcher.told().empty());
    arm({.name = "t"_name, .interval = 2ms});
    CHECK(watcher.told() == "changed t");
    for (int i = 0; i < 3; ++i)
        CHECK(next() == "changed t");
    REQUIRE(hall.registry.disarm(hall.owner.peer, names({"t"})));
    CHECK(watcher.told() == "changed t");
    settle(hall.loop);
    CHECK(watcher.told().empty());
    remove(hall, "t");
    CHECK(watcher.told() == "deleted t");
}

TEST_CASE("a new timer whose point had passed is told of as created, then as changed")
{
    Hall hall;
    const bool is_waited_for = GENERATE(false, true);
    auto watcher = monitor(hall);
    CHECK(watcher.told() == "ready");
    std::unique_ptr<Wait> wait;
    if (is_waited_for)
        wait = *hall.waits.start(person(alice), *hall.quota.take(alice, Resource::waits),
                                 {.names = names({"t"})}, [] {});
    REQUIRE(
        hall.registry.arm(hall.owner, {.name = "t"_name, .clock = Clock::monotonic, .first = 1ns}));
    CHECK(watcher.told() == "created t");
    std::string told;
    REQUIRE(turn_until(hall.loop, [&] { return !(told = watcher.told()).empty(); }));
    CHECK(told == "changed t");
}

TEST_CASE("a timer is counted for a monitor while that is there and may hear of it")
{
    Hall hall;
    REQUIRE(
        hall.registry.arm(hall.owner, {.name = "t"_name, .after = 1h, .rights = "0602"_rights}));
    const auto is_counted = [&] { return Registry::is_watched(*hall.registry.find("t"_name)); };
    CHECK_FALSE(is_counted());
    auto stranger = monitor(hall, {}, bob);
    CHECK(stranger.told() == "present t; ready");
    CHECK_FALSE(is_counted());
    {
        auto watcher = monitor(hall);
        CHECK(watcher.told() == "present t; ready");
        CHECK(is_counted());
        CHECK(hall.registry.find("t"_name)->timer()->appointment);
    }
    settle(hall.loop);
    CHECK_FALSE(is_counted());
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "t"_name, "0644"_rights));
    CHECK(is_counted());
    REQUIRE(hall.registry.set_rights(hall.owner.peer, "t"_name, "0602"_rights));
    CHECK_FALSE(is_counted());
    stranger.told();
    REQUIRE(hall.registry.disarm(hall.owner.peer, names({"t"})));
    CHECK(stranger.told().empty());
}

TEST_CASE("an object is watched for a monitor from when it is told of")
{
    Hall hall;
    for (const auto* name : {"a", "b", "c"})
        hall.create(name);
    const auto is_watched = [&](const Name& name) {
        return Registry::is_watched(*hall.registry.find(name));
    };
    auto watcher = monitor(hall);
    CHECK(watcher.told(1) == "present a");
    CHECK(is_watched("a"_name));
    CHECK_FALSE(is_watched("b"_name));

    REQUIRE(add(hall.open("a"), 1)); // Behind what was told,
    REQUIRE(add(hall.open("c"), 1)); // and before it.
    settle(hall.loop);
    CHECK(watcher.told() == "present b; present c; ready; changed a");
    REQUIRE(add(hall.open("c"), 1));
    settle(hall.loop);
    CHECK(watcher.told() == "changed c");
}

TEST_CASE("who wants to hear of attendance is told when others begin to wait or follow, and cease")
{
    Hall hall;
    hall.create("e");
    hall.create("p", Mode::pulse);
    auto watcher = monitor(hall, {}, alice, Hearing::attendance);
    auto other = monitor(hall);
    auto elsewhere = monitor(hall, "p"_pattern, alice, Hearing::attendance);
    for (auto* one : {&watcher, &other, &elsewhere})
        one->told();
    const auto told = [&] {
        CHECK(watcher.told().empty()); // Not before the next turn: there may be more.
        settle(hall.loop);
        CHECK(other.told().empty());
        return watcher.told();
    };

    auto wait = begin_wait(hall, {"e", "missing"});
    CHECK(told() == "changed e");
    auto second = begin_wait(hall, {"e"});
    second.reset();
    CHECK(told() == "changed e");
    wait.reset();
    CHECK(told() == "changed e");
    CHECK(elsewhere.told().empty());

    Session session{7, person(bob), {}, {}, {}};
    REQUIRE(hall.registry.open(session, names({"p"})));
    CHECK(told() == "changed p");
    CHECK(elsewhere.told() == "changed p");
    hall.registry.end(session);
    CHECK(told() == "changed p");

    wait = begin_wait(hall, {"e"});
    remove(hall, "e"); // Which ends the wait.
    settle(hall.loop);
    CHECK(watcher.told() == "deleted e");
    watcher.monitor.reset();
    elsewhere.monitor.reset();
    settle(hall.loop);
    wait = begin_wait(hall, {"p"});
    CHECK_FALSE(hall.loop.has_deferred()); // There is nobody to be told.
}

TEST_CASE("who waits for very many is told of in parts, each name in its turn")
{
    Hall hall;
    constexpr int objects = 4'000;
    for (int i = 0; i < objects; ++i)
        REQUIRE(hall.registry.arm(hall.owner,
                                  {.name = *Name::parse("t/" + std::to_string(i)), .after = 1h}));
    std::vector<Watcher> watchers;
    for (int i = 0; i < 8; ++i) {
        watchers.push_back(monitor(hall, "[^s]/*[^t]"_pattern, alice, Hearing::attendance));
        while (!watchers.back().told().ends_with("ready"))
            ;
    }
    for (int i = 0; i < objects; ++i)
        begin_wait(hall, {"t/" + std::to_string(i)}).reset();
    int turns = 0;
    for (; hall.loop.has_deferred(); ++turns) {
        REQUIRE(turns < objects);
        settle(hall.loop, 1);
    }
    CHECK(turns > 1);
    CHECK(watchers.front().told(1) == "resync"); // So many were not taken.
}

TEST_CASE("all that was watched for monitors that end is given back in parts")
{
    Hall hall;
    constexpr int timers = 4'000; // Which need no descriptor of ours.
    for (int i = 0; i < timers; ++i)
        REQUIRE(hall.registry.arm(hall.owner,
                                  {.name = *Name::parse("t/" + std::to_string(i)), .after = 1h}));
    const auto watched = [&] {
        return std::ranges::count_if(hall.registry.objects(), [](const auto& entry) {
            return Registry::is_watched(entry.second);
        });
    };
    auto all = monitor(hall);
    auto some = monitor(hall, "t/1*"_pattern);
    auto later = monitor(hall, "t/2"_pattern);
    for (auto* one : {&all, &some, &later})
        while (!one->told().ends_with("ready")) {
        }
    CHECK(watched() == timers);

    all.monitor.reset();
    settle(hall.loop, 1);
    CHECK(watched() > timers / 2); // One turn of thousands that others have theirs between.
    some.monitor.reset();          // What was kept for this one may be behind us by now.
    settle(hall.loop);
    CHECK(watched() == 1);
    later.monitor.reset();
    settle(hall.loop);
    CHECK(watched() == 0);
    CHECK_FALSE(hall.loop.has_deferred());
}

TEST_CASE("a timer of one nanosecond floods no monitor: it is looked at at most every millisecond")
{
    Hall hall;
    auto watcher = monitor(hall);
    watcher.told();
    REQUIRE(hall.registry.arm(hall.owner, {.name = "t"_name, .interval = 1ns}));
    const auto start = now_on(Clock::monotonic);
    for (int i = 0; i < 20; ++i)
        REQUIRE(hall.loop.run_once(20s));
    CHECK(now_on(Clock::monotonic) >= start + 10ms); // 20 looks take at least as long.
    CHECK(*watcher.wakes <= 22);
}

TEST_CASE("a monitor hears that the wall clock cancelled a timer")
{
    WallClock wall_clock;
    Hall hall;
    auto watcher = monitor(hall);
    REQUIRE(hall.registry.arm(
        hall.owner,
        {.name = "t"_name, .first = now_on(Clock::realtime) + 1h, .cancel_on_clock_change = true}));
    CHECK(watcher.told() == "present t; ready");
    wall_clock.shift(1000ns);
    std::string told;
    REQUIRE(turn_until(hall.loop, [&] { return !(told = watcher.told()).empty(); }));
    CHECK(told == "changed t");
}

TEST_CASE("whom the policy does not let wait hears of no set and clear, only of what there is")
{
    Hall hall;
    change_policy(hall, "db/ alice -w");
    hall.create("db/e");
    hall.create("e");
    auto watcher = monitor(hall);
    CHECK(watcher.told() == "present db/e; present e; ready");
    CHECK_FALSE(hall.registry.find("db/e"_name)->watch);

    REQUIRE(hall.registry.set(hall.owner.peer, names({"db/e", "e"}), 1));
    CHECK(watcher.told() == "changed e");
    hall.create("db/f");
    CHECK(watcher.told() == "created db/f");
}

TEST_CASE("a new policy is told to those who see more or less by it, and watched accordingly")
{
    Hall hall;
    hall.create("db/e");
    hall.create("e");
    hall.create("secret", Mode::manual, 0, "0600"_rights);
    auto watcher = monitor(hall);
    auto stranger = monitor(hall, {}, bob);
    const auto is_watched = [&] { return hall.registry.find("db/e"_name)->watch.has_value(); };
    watcher.told();
    stranger.told();

    change_policy(hall, "db/ bob -w; secret bob -w");
    CHECK(watcher.told().empty());
    CHECK(stranger.told() == "changed db/e"); // What the rights hid was hidden before.
    CHECK(is_watched());
    change_policy(hall, "db/ * -w");
    CHECK(watcher.told() == "changed db/e");
    CHECK(stranger.told().empty());
    CHECK_FALSE(is_watched());
    REQUIRE(hall.registry.set(hall.owner.peer, names({"db/e"}), 1));
    CHECK(watcher.told().empty());
    change_policy(hall, "");
    CHECK(watcher.told() == "changed db/e");
    CHECK(stranger.told() == "changed db/e");
    CHECK(is_watched());
}

} // namespace
} // namespace evfd::daemon
