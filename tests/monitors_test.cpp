#include "daemon/monitors.h"

#include "tests/daemon_fixture.h"

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

Watcher monitor(Hall& hall, Pattern pattern = {}, uid_t uid = alice)
{
    auto wakes = std::make_shared<int>(0);
    auto started = hall.monitors.start(person(uid), *hall.quota.take(uid, Resource::monitors),
                                       std::move(pattern), [wakes] { ++*wakes; });
    REQUIRE(started);
    return {wakes, *std::move(started)};
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

TEST_CASE("sets and clears are told only to those who may wait, what there is to all")
{
    Hall hall;
    hall.create("secret", Mode::manual, 0, "0600"_rights);
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

    REQUIRE(hall.registry.set_rights(hall.owner.peer, "secret"_name, "0600"_rights));
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
    CHECK_FALSE(hall.registry.find("a"_name)->watch);
    CHECK(hall.quota.used(alice, Resource::monitors) == 0);
}

} // namespace
} // namespace evfd::daemon
