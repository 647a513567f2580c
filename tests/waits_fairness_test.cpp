// Who gets what when several want it: those who wait through the daemon among themselves, and
// against those who take directly from the descriptor.
#include "daemon/waits.h"

#include "tests/daemon_fixture.h"

#include <atomic>
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
