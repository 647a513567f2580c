// Who gets what when several want it: those who wait through the daemon among themselves, and
// against those who take directly from the descriptor.
#include "daemon/waiting/waits.h"

#include "tests/support/service_fixture.h"

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace evfd::daemon {
namespace {

std::unique_ptr<Wait> start(Hall& hall, std::initializer_list<std::string_view> list,
                            Gather gather = Gather::all)
{
    auto wait = hall.waits.start(hall.owner.peer, *hall.quota.take(alice, Resource::waits),
                                 {.names = names(list), .gather = gather}, [] {});
    REQUIRE(wait);
    return *std::move(wait);
}

bool is_over(const std::unique_ptr<Wait>& wait)
{
    return wait->outcome().has_value();
}

std::size_t how_many_over(const std::deque<std::unique_ptr<Wait>>& waits)
{
    return static_cast<std::size_t>(std::ranges::count_if(waits, is_over));
}

TEST_CASE("those who wait to take are served in the order in which they came")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    const bool is_direct = GENERATE(false, true);
    Hall hall;
    hall.create("e", mode);
    const auto client = hall.open("e");
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 5; ++i)
        waits.push_back(start(hall, {"e"}, i % 2 ? Gather::any : Gather::all));

    for (std::size_t served = 1; served <= waits.size(); ++served) {
        if (is_direct)
            REQUIRE(add(client, 1));
        else
            REQUIRE(hall.registry.set(hall.owner.peer, names({"e"}), 1));
        settle(hall.loop);
        CHECK(how_many_over(waits) == served);
        CHECK(is_over(waits[served - 1]));
    }
    CHECK_FALSE(hall.event("e").is_set());
}

TEST_CASE("n tokens release exactly the first n, and one auto set exactly one")
{
    const auto [mode, released] =
        GENERATE(table<Mode, std::size_t>({{Mode::automatic, 1}, {Mode::semaphore, 7}}));
    Hall hall;
    hall.create("e", mode);
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 100; ++i)
        waits.push_back(start(hall, {"e"}));

    REQUIRE(add(hall.open("e"), 7));
    settle(hall.loop);

    CHECK(how_many_over(waits) == released);
    for (std::size_t i = 0; i < released; ++i)
        CHECK(is_over(waits[i]));
}

TEST_CASE("who comes after a set that was not told of yet does not overtake")
{
    Hall hall;
    hall.create("e", Mode::automatic);
    const auto first = start(hall, {"e"});
    REQUIRE(add(hall.open("e"), 1));

    const auto second = start(hall, {"e"}); // Before the loop turns.

    CHECK(is_over(first));
    CHECK_FALSE(is_over(second));
}

TEST_CASE("a pulse does not let its waiter overtake those who wait for what else it wants")
{
    const auto gather = GENERATE(Gather::any, Gather::all);
    Hall hall;
    hall.create("e", Mode::automatic);
    hall.create("p", Mode::pulse);
    const auto first = start(hall, {"e"});
    const auto second = start(hall, {"e", "p"}, gather);
    REQUIRE(add(hall.open("e"), 1));

    REQUIRE(hall.registry.set(hall.owner.peer, names({"p"}), 1)); // Before the loop turns.

    CHECK(is_over(first));
    CHECK(is_over(second) == (gather == Gather::any));
}

TEST_CASE("who gave up keeps nobody behind it from being served")
{
    Hall hall;
    hall.create("e", Mode::automatic);
    auto first = start(hall, {"e"});
    const auto second = start(hall, {"e"});
    first.reset();
    REQUIRE(add(hall.open("e"), 1));
    settle(hall.loop);
    CHECK(is_over(second));
}

TEST_CASE("a wake-up may end the next one's wait, and who is behind it is still served")
{
    Hall hall;
    hall.create("m");
    std::unique_ptr<Wait> second;
    const auto first = hall.waits.start(hall.owner.peer, *hall.quota.take(alice, Resource::waits),
                                        {.names = names({"m"})}, [&] { second.reset(); });
    REQUIRE(first);
    second = start(hall, {"m"});
    const auto third = start(hall, {"m"});

    REQUIRE(hall.registry.set(hall.owner.peer, names({"m"}), 1));

    CHECK(is_over(*first));
    CHECK_FALSE(second);
    CHECK(is_over(third));
}

TEST_CASE("a wait for all that loses one of them to a direct reader has put the others back")
{
    Hall hall;
    hall.create("kept", Mode::semaphore);
    hall.create("raced", Mode::semaphore);
    const auto kept = hall.open("kept");
    const auto raced = hall.open("raced");
    constexpr std::uint64_t rounds = 3'000;
    REQUIRE(add(kept, rounds));
    std::atomic<bool> is_done = false;
    std::uint64_t taken_by_reader = 0;
    std::thread reader{[&] {
        while (!is_done)
            taken_by_reader += evfd::take(raced).value_or(0);
    }};

    std::uint64_t completed = 0;
    auto wait = start(hall, {"kept", "raced"});
    for (std::uint64_t round = 0; round < rounds; ++round) {
        static_cast<void>(add(raced, 1));
        static_cast<void>(hall.loop.run_once(0ns));
        if (is_over(wait)) {
            ++completed;
            wait = start(hall, {"kept", "raced"});
        }
    }
    is_done = true;
    reader.join();
    completed += is_over(wait) ? 1U : 0U;
    wait.reset();

    const auto left = *count(raced);
    CHECK(count(kept) == rounds - completed);
    CHECK(completed + taken_by_reader + left == rounds);
}

TEST_CASE("who came first is served first, whatever of what they wait for was set first")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    hall.create("b", Mode::automatic);
    const auto a = hall.open("a");
    const auto b = hall.open("b");
    const auto first = start(hall, {"a"});
    const auto second = start(hall, {"a", "b"});

    REQUIRE(add(b, 1));
    REQUIRE(add(a, 1));
    settle(hall.loop);

    CHECK(is_over(first));
    CHECK_FALSE(is_over(second));
    CHECK(hall.event("b").is_set()); // All or nothing.
}

TEST_CASE("of those who miss another one each time the first is released once all are there")
{
    Hall hall;
    const std::vector<std::string> names{"a", "b", "c", "d"};
    std::map<std::string, UniqueFd> fds;
    for (const auto& name : names) {
        hall.create(name, Mode::automatic);
        fds.emplace(name, hall.open(name));
    }
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 3; ++i)
        waits.push_back(start(hall, {"a", "b", "c", "d"}));

    for (const auto& missing : {"c", "a", "d", "a", "b", "c"}) {
        for (const auto& [name, fd] : fds)
            REQUIRE((name == missing ? take(fd).has_value() : add(fd, 1).has_value()));
        settle(hall.loop);
        CHECK(how_many_over(waits) == 0);
    }
    for (std::size_t served = 1; served <= waits.size(); ++served) {
        for (const auto& [name, fd] : fds)
            REQUIRE(add(fd, 1));
        settle(hall.loop);
        CHECK(how_many_over(waits) == served);
        CHECK(is_over(waits[served - 1]));
    }
}

// Waits, and what the model knows of each: what it still waits for.
struct WaitModel {
    struct Waiter {
        std::unique_ptr<Wait> wait;
        Gather gather;
        std::set<std::string> misses; // Of what is told once, or needs to be seen once.
        std::set<std::string> takes;  // Of what is there or not.
    };

    void begin(const std::vector<std::string>& wanted, Gather gather)
    {
        Waiter waiter{{}, gather, {}, {}};
        protocol::Wait request{.names = {}, .gather = gather};
        for (const auto& name : wanted) {
            request.names.list.push_back(*Name::parse(name));
            if (name[0] == 'a' || name[0] == 's') // It is taken.
                waiter.takes.insert(name);
            else if (name[0] != 'm' || !hall.event(name).is_set())
                waiter.misses.insert(name);
        }
        waiter.wait = *hall.waits.start(hall.owner.peer, *hall.quota.take(alice, Resource::waits),
                                        request, [] {});
        waiters.push_back(std::move(waiter));
    }
    void happens(const std::string& name)
    {
        for (auto& waiter : waiters)
            if (waiter.misses.erase(name) > 0 && waiter.gather == Gather::any)
                waiter.misses.clear(), waiter.takes.clear();
    }
    void give_up(std::size_t at)
    {
        waiters.erase(waiters.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // Once all is heard: none goes on waiting for what is there. Forgets those that are over, and
    // returns how many they were.
    std::size_t check()
    {
        const auto is_there = [&](const std::string& text) { return hall.event(text).is_set(); };
        for (const auto& waiter : waiters) {
            if (is_over(waiter.wait))
                continue;
            if (waiter.gather == Gather::any)
                REQUIRE(std::ranges::none_of(waiter.takes, is_there));
            else
                REQUIRE_FALSE(
                    (waiter.misses.empty() && std::ranges::all_of(waiter.takes, is_there)));
        }
        return std::erase_if(waiters, [](const auto& waiter) { return is_over(waiter.wait); });
    }

    Hall& hall;
    std::deque<Waiter> waiters = {};
};

// By the first letter of its name: an event of that mode, or a timer that does not expire.
void make(Hall& hall, const std::string& name)
{
    switch (name[0]) {
    case 'a': hall.create(name, Mode::automatic); break;
    case 's': hall.create(name, Mode::semaphore); break;
    case 'm': hall.create(name, Mode::manual); break;
    case 'p': hall.create(name, Mode::pulse); break;
    default: REQUIRE(hall.registry.arm(hall.owner, {.name = *Name::parse(name), .after = 1h}));
    }
}

TEST_CASE("nobody goes on waiting for what is there whatever is set and taken by whom")
{
    std::mt19937 random{GENERATE(1U, 2U, 3U, 4U)};
    const auto one_of = [&](std::size_t count) { return random() % count; };
    Hall hall;
    const std::vector<std::string> events{"a0", "a1", "a2", "s0", "s1", "m0", "m1"};
    auto all = events;
    all.insert(all.end(), {"p0", "t0"});
    for (const auto& name : all)
        make(hall, name);
    std::vector<UniqueFd> fds;
    for (const auto& name : events)
        fds.push_back(hall.open(name));
    WaitModel model{hall};
    std::size_t released = 0;
    for (int step = 0; step < 1'500; ++step) {
        const auto at = one_of(events.size());
        const auto& name = events[at];
        const auto deed = one_of(10);
        if (deed < 3 && model.waiters.size() < 30) {
            const auto gather = one_of(3) == 0 ? Gather::any : Gather::all;
            std::vector<std::string> wanted;
            for (const auto& each : all)
                if (one_of(3) == 0)
                    wanted.push_back(each);
            if (wanted.empty())
                continue;
            std::ranges::shuffle(wanted, random);
            model.begin(wanted, gather);
        } else if (deed < 6) {
            REQUIRE(add(fds[at], 1));
            model.happens(name);
        } else if (deed == 6) {
            REQUIRE(take(fds[at]));
        } else if (deed == 7) {
            REQUIRE(hall.registry.set(hall.owner.peer, names({name, "p0"}), 1));
            model.happens(name);
            model.happens("p0");
        } else if (deed == 8) {
            REQUIRE(hall.registry.clear(hall.owner.peer, names({name})));
        } else if (!model.waiters.empty() && one_of(4) == 0) {
            model.give_up(one_of(model.waiters.size()));
        }
        if (one_of(2) == 0)
            continue; // More than one deed is heard of at a time.
        INFO("step " << step);
        hall.registry.hear();
        released += model.check();
    }
    CHECK(released > 100);
}

TEST_CASE("what was taken for one who does not hear of it is put back and serves the next")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    Hall hall;
    hall.create("e", mode);
    auto first = start(hall, {"e"});
    const auto second = start(hall, {"e"});
    REQUIRE(add(hall.open("e"), 1));
    settle(hall.loop);
    REQUIRE(is_over(first));
    REQUIRE_FALSE(is_over(second));

    first->undo();
    first->undo(); // Once is enough.
    first.reset();
    settle(hall.loop);

    CHECK(is_over(second));
    CHECK_FALSE(hall.event("e").is_set());
}

TEST_CASE("what was taken from an object that is gone is not put into a later one of its name")
{
    Hall hall;
    hall.create("e", Mode::semaphore, 1);
    const auto wait = start(hall, {"e"});
    REQUIRE(is_over(wait));
    REQUIRE(hall.registry.remove(hall.owner.peer, names({"e"})));
    hall.create("e", Mode::semaphore);

    wait->undo();

    CHECK_FALSE(hall.event("e").is_set());
}

TEST_CASE("a token that was given to a client that died is the next one's")
{
    Daemon daemon;
    auto owner = daemon.connect();
    daemon.ask(owner, "CreateEvent", R"({"name":"e","mode":"auto"})");
    daemon.ask(owner, "Open", R"({"names":["e"]})");
    std::optional first{daemon.connect()};
    auto second = daemon.connect();
    for (auto* client : {&*first, &second}) {
        client->call("Wait", R"({"names":["e"]})");
        settle(daemon.loop);
    }

    SECTION("before the daemon turned")
    {
        REQUIRE(add(owner.descriptors.at(0), 1));
        first.reset();
    }
    SECTION("by a set through the daemon, with it in the same turn")
    {
        owner.call("Set", R"({"names":["e"]})");
        first.reset();
    }
    settle(daemon.loop);

    CHECK(second.reply() == R"({"parameters":{"fired":[{"name":"e","count":1}]}})");
}

} // namespace
} // namespace evfd::daemon
