// Tests the order in which waits for one object are served, even if other processes read the
// object's descriptor.
#include "daemon/waiting/waits.h"

#include "tests/support/service_fixture.h"

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

namespace evfd::daemon {
namespace {

std::unique_ptr<Wait> start(RegistryFixture& fixture, std::initializer_list<std::string_view> list,
                            Require require = Require::all)
{
    auto wait = fixture.start(fixture.owner.peer, *fixture.quota.charge(alice, Resource::waits),
                              {.items = wait_items(list), .require = require}, [] {});
    REQUIRE(wait);
    return *std::move(wait);
}

bool is_done(const std::unique_ptr<Wait>& wait)
{
    return wait->outcome().has_value();
}

std::size_t completed_count(const std::deque<std::unique_ptr<Wait>>& waits)
{
    return static_cast<std::size_t>(std::ranges::count_if(waits, is_done));
}

TEST_CASE("consuming waits are served in the order of their arrival")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    const bool is_direct = GENERATE(false, true);
    RegistryFixture fixture;
    fixture.create("e", mode);
    const auto client = fixture.open("e");
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 5; ++i)
        waits.push_back(start(fixture, {"e"}, i % 2 ? Require::any : Require::all));

    for (std::size_t served = 1; served <= waits.size(); ++served) {
        if (is_direct)
            REQUIRE(add(client, 1));
        else
            REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"e"}, 1)));
        run_until_idle(fixture.loop);
        CHECK(completed_count(waits) == served);
        CHECK(is_done(waits[served - 1]));
    }
    CHECK_FALSE(fixture.event("e").is_set());
}

TEST_CASE("n tokens release exactly the first n waits, and one auto set exactly one")
{
    const auto [mode, released] =
        GENERATE(table<Mode, std::size_t>({{Mode::automatic, 1}, {Mode::semaphore, 7}}));
    RegistryFixture fixture;
    fixture.create("e", mode);
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 100; ++i)
        waits.push_back(start(fixture, {"e"}));

    REQUIRE(add(fixture.open("e"), 7));
    run_until_idle(fixture.loop);

    CHECK(completed_count(waits) == released);
    for (std::size_t i = 0; i < released; ++i)
        CHECK(is_done(waits[i]));
}

TEST_CASE("a wait that starts after an unreported set does not overtake")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    const auto first = start(fixture, {"e"});
    REQUIRE(add(fixture.open("e"), 1));

    // The second wait starts before the loop reports that "e" is set.
    const auto second = start(fixture, {"e"});

    CHECK(is_done(first));
    CHECK_FALSE(is_done(second));
}

TEST_CASE("a pulse does not let its wait overtake others for what else it needs")
{
    const auto require = GENERATE(Require::any, Require::all);
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    fixture.create("p", Mode::pulse);
    const auto first = start(fixture, {"e"});
    const auto second = start(fixture, {"e", "p"}, require);
    REQUIRE(add(fixture.open("e"), 1));

    // The pulse comes before the loop reports that "e" is set.
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"p"}, 1)));

    CHECK(is_done(first));
    CHECK(is_done(second) == (require == Require::any));
}

TEST_CASE("a cancelled wait does not block the waits behind it")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    auto first = start(fixture, {"e"});
    const auto second = start(fixture, {"e"});
    first.reset();
    REQUIRE(add(fixture.open("e"), 1));
    run_until_idle(fixture.loop);
    CHECK(is_done(second));
}

TEST_CASE("a wakeup may end the next wait, and the one behind it is still served")
{
    RegistryFixture fixture;
    fixture.create("m");
    std::unique_ptr<Wait> second;
    const auto first =
        fixture.start(fixture.owner.peer, *fixture.quota.charge(alice, Resource::waits),
                      {.items = wait_items({"m"})}, [&] { second.reset(); });
    REQUIRE(first);
    second = start(fixture, {"m"});
    const auto third = start(fixture, {"m"});

    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"m"}, 1)));

    CHECK(is_done(*first));
    CHECK_FALSE(second);
    CHECK(is_done(third));
}

TEST_CASE("a wait for all that loses one object to a direct reader returns the others")
{
    RegistryFixture fixture;
    fixture.create("contended", Mode::semaphore);
    fixture.create("raced", Mode::semaphore);
    const auto contended = fixture.open("contended");
    const auto raced = fixture.open("raced");
    constexpr std::uint64_t rounds = 3'000;
    REQUIRE(add(contended, rounds));
    std::atomic<bool> is_finished = false;
    std::uint64_t taken_by_reader = 0;
    std::thread reader{[&] {
        while (!is_finished)
            taken_by_reader += evfd::take(raced).value_or(0);
    }};

    std::uint64_t completed = 0;
    auto wait = start(fixture, {"contended", "raced"});
    for (std::uint64_t round = 0; round < rounds; ++round) {
        static_cast<void>(add(raced, 1));
        static_cast<void>(fixture.loop.run_once(0ns));
        if (is_done(wait)) {
            ++completed;
            wait = start(fixture, {"contended", "raced"});
        }
    }
    is_finished = true;
    reader.join();
    completed += is_done(wait) ? 1U : 0U;
    wait.reset();

    const auto left = *count(raced);
    CHECK(count(contended) == rounds - completed);
    CHECK(completed + taken_by_reader + left == rounds);
}

TEST_CASE("the earliest wait is served first, whatever object was set first")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("b", Mode::automatic);
    const auto a = fixture.open("a");
    const auto b = fixture.open("b");
    const auto first = start(fixture, {"a"});
    const auto second = start(fixture, {"a", "b"});

    REQUIRE(add(b, 1));
    REQUIRE(add(a, 1));
    run_until_idle(fixture.loop);

    CHECK(is_done(first));
    CHECK_FALSE(is_done(second));
    // The second wait consumed no token of "b", because "a" is not set any more.
    CHECK(fixture.event("b").is_set());
}

TEST_CASE("the first of several waits that each miss another object is released once all are set")
{
    RegistryFixture fixture;
    const std::vector<std::string> names{"a", "b", "c", "d"};
    std::map<std::string, UniqueFd> fds;
    for (const auto& name : names) {
        fixture.create(name, Mode::automatic);
        fds.emplace(name, fixture.open(name));
    }
    std::deque<std::unique_ptr<Wait>> waits;
    for (int i = 0; i < 3; ++i)
        waits.push_back(start(fixture, {"a", "b", "c", "d"}));

    for (const auto& missing : {"c", "a", "d", "a", "b", "c"}) {
        for (const auto& [name, fd] : fds)
            REQUIRE((name == missing ? take(fd).has_value() : add(fd, 1).has_value()));
        run_until_idle(fixture.loop);
        CHECK(completed_count(waits) == 0);
    }
    for (std::size_t served = 1; served <= waits.size(); ++served) {
        for (const auto& [name, fd] : fds)
            REQUIRE(add(fd, 1));
        run_until_idle(fixture.loop);
        CHECK(completed_count(waits) == served);
        CHECK(is_done(waits[served - 1]));
    }
}

// Waits, and a model of the objects that each wait still needs.
struct WaitModel {
    struct Waiter {
        std::unique_ptr<Wait> wait;
        Require require;
        // The names of the manual events, pulses and timers that the wait still needs. Each of
        // these events must be set, and each of these timers must expire.
        std::set<std::string> unseen;
        // Names of the auto events and semaphores of which the wait consumes a token.
        std::set<std::string> to_consume;
    };

    void begin(const std::vector<std::string>& wanted, Require require)
    {
        Waiter waiter{{}, require, {}, {}};
        protocol::Wait request{.items = {}, .require = require};
        for (const auto& name : wanted) {
            request.items.list.push_back({*Name::parse(name)});
            // A wait consumes tokens of auto events and semaphores.
            if (name[0] == 'a' || name[0] == 's')
                waiter.to_consume.insert(name);
            else if (name[0] != 'm' || !fixture.event(name).is_set())
                waiter.unseen.insert(name);
        }
        waiter.wait = *fixture.start(fixture.owner.peer,
                                     *fixture.quota.charge(alice, Resource::waits), request, [] {});
        waiters.push_back(std::move(waiter));
    }
    void on_operation(const std::string& name)
    {
        for (auto& waiter : waiters)
            if (waiter.unseen.erase(name) > 0 && waiter.require == Require::any)
                waiter.unseen.clear(), waiter.to_consume.clear();
    }
    void cancel(std::size_t at)
    {
        waiters.erase(waiters.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // Checks after delivery that no wait is pending although its objects are set. Removes completed
    // waits and returns their number.
    std::size_t check()
    {
        const auto is_set_now = [&](const std::string& text) {
            return fixture.event(text).is_set();
        };
        for (const auto& waiter : waiters) {
            if (is_done(waiter.wait))
                continue;
            if (waiter.require == Require::any)
                REQUIRE(std::ranges::none_of(waiter.to_consume, is_set_now));
            else
                REQUIRE_FALSE(
                    (waiter.unseen.empty() && std::ranges::all_of(waiter.to_consume, is_set_now)));
        }
        return std::erase_if(waiters, [](const auto& waiter) { return is_done(waiter.wait); });
    }

    RegistryFixture& fixture;
    std::deque<Waiter> waiters = {};
};

// Creates an object. The first letter of the name gives the mode of an event: a, s, m or p. Any
// other letter gives a timer that does not expire during the test.
void make(RegistryFixture& fixture, const std::string& name)
{
    switch (name[0]) {
    case 'a': fixture.create(name, Mode::automatic); break;
    case 's': fixture.create(name, Mode::semaphore); break;
    case 'm': fixture.create(name, Mode::manual); break;
    case 'p': fixture.create(name, Mode::pulse); break;
    default:
        REQUIRE(fixture.registry.arm(fixture.owner, {.name = *Name::parse(name), .after = 1h}));
    }
}

TEST_CASE("no wait stays pending while its objects are set, whatever is set and consumed by others")
{
    std::mt19937 random{GENERATE(1U, 2U, 3U, 4U)};
    const auto one_of = [&](std::size_t count) { return random() % count; };
    RegistryFixture fixture;
    const std::vector<std::string> events{"a0", "a1", "a2", "s0", "s1", "m0", "m1"};
    auto all = events;
    all.insert(all.end(), {"p0", "t0"});
    for (const auto& name : all)
        make(fixture, name);
    std::vector<UniqueFd> fds;
    for (const auto& name : events)
        fds.push_back(fixture.open(name));
    WaitModel model{fixture};
    std::size_t released = 0;
    for (int step = 0; step < 1'500; ++step) {
        const auto at = one_of(events.size());
        const auto& name = events[at];
        const auto operation = one_of(10);
        if (operation < 3 && model.waiters.size() < 30) {
            const auto require = one_of(3) == 0 ? Require::any : Require::all;
            std::vector<std::string> wanted;
            for (const auto& each : all)
                if (one_of(3) == 0)
                    wanted.push_back(each);
            if (wanted.empty())
                continue;
            std::ranges::shuffle(wanted, random);
            model.begin(wanted, require);
        } else if (operation < 6) {
            REQUIRE(add(fds[at], 1));
            model.on_operation(name);
        } else if (operation == 6) {
            REQUIRE(take(fds[at]));
        } else if (operation == 7) {
            REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({name, "p0"}, 1)));
            model.on_operation(name);
            model.on_operation("p0");
        } else if (operation == 8) {
            REQUIRE(fixture.registry.clear(fixture.owner.peer, names({name})));
        } else if (!model.waiters.empty() && one_of(4) == 0) {
            model.cancel(one_of(model.waiters.size()));
        }
        if (one_of(2) == 0)
            // Half of the steps deliver no edges, so that a later step delivers the edges of
            // several writes and reads at once.
            continue;
        INFO("step " << step);
        fixture.registry.deliver_edges();
        released += model.check();
    }
    CHECK(released > 100);
}

TEST_CASE("a token of an unacknowledged wait is returned and serves the next")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    RegistryFixture fixture;
    fixture.create("e", mode);
    auto first = start(fixture, {"e"});
    const auto second = start(fixture, {"e"});
    REQUIRE(add(fixture.open("e"), 1));
    run_until_idle(fixture.loop);
    REQUIRE(is_done(first));
    REQUIRE_FALSE(is_done(second));

    first->return_tokens();
    first->return_tokens(); // The second call has no effect.
    first.reset();
    run_until_idle(fixture.loop);

    CHECK(is_done(second));
    CHECK_FALSE(fixture.event("e").is_set());
}

TEST_CASE("a token of a deleted object is not returned to a later object of its name")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::semaphore, 1);
    const auto wait = start(fixture, {"e"});
    REQUIRE(is_done(wait));
    REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"e"})));
    fixture.create("e", Mode::semaphore);

    wait->return_tokens();

    CHECK_FALSE(fixture.event("e").is_set());
}

TEST_CASE("a token of a disconnected client goes to the next wait")
{
    ServiceFixture daemon;
    auto owner = daemon.connect();
    daemon.request(owner, "CreateEvent", R"({"name":"e","mode":"auto"})");
    daemon.request(owner, "Open", R"({"items":[{"name":"e"}]})");
    std::optional first{daemon.connect()};
    auto second = daemon.connect();
    for (auto* client : {&*first, &second}) {
        client->call("Wait", R"({"items":[{"name":"e"}]})");
        run_until_idle(daemon.loop);
    }

    SECTION("before the next iteration of the daemon")
    {
        REQUIRE(add(owner.descriptors.at(0), 1));
        first.reset();
    }
    SECTION("by a set through the daemon in the same iteration")
    {
        owner.call("Set", R"({"items":[{"name":"e"}]})");
        first.reset();
    }
    run_until_idle(daemon.loop);

    CHECK(without_ids(second.reply()) ==
          R"({"parameters":{"fired":[{"name":"e","count":1,"index":0}]}})");
}

} // namespace
} // namespace evfd::daemon
