// The client library against the real daemon: each mode with each combination of rights.
#include "tests/support/configured_daemon.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <variant>

namespace evfd::e2e {
namespace {

// An event of ours that the caller of `may` may wait for (r) and set (w), as he is given it. Root
// may everything, so that there a stranger does the work.
void with_event(Mode mode, const std::string& rights, const std::function<void(const Event&)>& work)
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .rights = Rights::parse("0666")}));
    REQUIRE(client.set_rights("e", *Rights::parse(rights)));
    Worker worker{[&](const Line&) {
        become_stranger();
        work(must(daemon.client().open("e")));
    }};
    CHECK(worker.wait() == 0);
}

void must_refuse(const Try<void>& tried, std::string_view remedy)
{
    require(!tried && tried.error().code == ErrorCode::refused, "not refused");
    require(tried.error().message.contains(remedy), tried.error().message);
}
template <class T>
void must_refuse(const Try<T>& tried, std::string_view remedy)
{
    must_refuse(tried ? Try<void>{} : std::unexpected(tried.error()), remedy);
}

TEST_CASE("who may wait and set has the eventfd and does all on it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    with_event(mode, "0666", [&](const Event& event) {
        require(event.mode() == mode && event.access() == Access{true, true}, "wrong mode");
        require(!must(event.is_set()), "set from the start");
        require(must(event.wait(0ns)) == 0, "nothing to take");
        must(event.set(2));
        require(must(event.is_set()), "not set");
        pollfd wanted{event.fd(), POLLIN, 0};
        require(::poll(&wanted, 1, 0) == 1, "not readable");
        require(must(event.wait(0ns)) == 1, "a set is not seen");
        require(must(event.is_set()) == (mode != Mode::automatic), "taken wrongly");
        require(must(event.wait_until(monotonic_now())) == (mode != Mode::automatic),
                "taken wrongly once more");
        must(event.set());
        must(event.clear());
        require(!must(event.is_set()), "set after a clear");
        std::uint64_t one = 1;
        require(::write(event.fd(), &one, sizeof one) == sizeof one, "no eventfd");
        require(must(event.wait(0ns)) == 1, "a set by write(2) is not seen");
    });
}

TEST_CASE("who may wait only has a descriptor through which nothing can be set")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .rights = Rights::parse("0666")}));
    const auto owned = must(client.open("e"));
    REQUIRE(client.set_rights("e", *Rights::parse("0444")));
    Worker worker{[&](const Line& line) {
        become_stranger();
        const auto event = must(daemon.client().open("e"));
        require(event.access() == Access{.wait = true, .set = false}, "wrong rights");
        must_refuse(event.set(), "w right");
        must_refuse(event.clear(), "w right");
        std::uint64_t one = 1;
        require(::write(event.fd(), &one, sizeof one) < 0, "it can be written to");
        std::uint64_t count = 0;
        require(::read(event.fd(), &count, sizeof count) < 0, "it can be read");
        require(!must(event.is_set()), "set from the start");
        const auto check_wait = [&](std::int64_t expected) {
            if (mode == Mode::manual)
                return require(must(event.wait(0ns)) == expected, "wrong wait");
            must_refuse(event.wait(0ns), "w right"); // At once: to wait would be to consume.
            must_refuse(event.wait(), "w right");
            must_refuse(event.wait_until(monotonic_after(patience)), "needs r and w");
        };
        check_wait(0);
        line.say(0);
        pollfd wanted{event.fd(), POLLIN, 0};
        require(::poll(&wanted, 1, static_cast<int>(patience / 1ms)) == 1, "not readable");
        require(must(event.is_set()), "not set");
        check_wait(1);
    }};
    CHECK(worker.hear() == 0);
    REQUIRE(owned.set());
    CHECK(worker.wait() == 0);
    CHECK(must(owned.is_set()));
}

TEST_CASE("who may set only has no descriptor and sets through the daemon")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .rights = Rights::parse("0666")}));
    const auto owned = must(client.open("e"));
    REQUIRE(client.set_rights("e", *Rights::parse("0222")));
    Worker worker{[&](const Line& line) {
        become_stranger();
        const auto event = must(daemon.client().open("e"));
        require(event.access() == Access{.wait = false, .set = true}, "wrong rights");
        require(event.fd() == -1, "a descriptor");
        must_refuse(event.is_set(), "r right");
        must_refuse(event.wait(0ns), "r right");
        must(event.set(3));
        line.say(0);
        line.hear();
        must(event.clear());
        line.say(0);
    }};
    CHECK(worker.hear() == 0);
    CHECK(must(owned.is_set()));
    CHECK(must(owned.wait(0ns)) == 1);
    CHECK(must(owned.is_set()) == (mode != Mode::automatic));
    worker.say(0);
    worker.hear();
    CHECK_FALSE(must(owned.is_set()));
    CHECK(worker.wait() == 0);
}

TEST_CASE("a pulse with each combination of rights")
{
    const auto [rights, access] = GENERATE(table<std::string, Access>({
        {"0666", {true, true}},
        {"0444", {true, false}},
        {"0222", {false, true}},
    }));
    with_event(Mode::pulse, rights, [&](const Event& event) {
        require(event.access() == access, "wrong rights");
        require((event.fd() >= 0) == access.wait, "wrong descriptor");
        if (access.set)
            must(event.set(2));
        else
            must_refuse(event.set(), "w right");
        if (access.wait)
            require(must(event.wait(0ns)) == (access.set ? 2 : 0), "wrong count");
        else
            must_refuse(event.wait(0ns), "r right");
        if (access.wait) // Which forgets what came, and concerns nobody else.
            must(event.clear());
        else
            must_refuse(event.clear(), "r right");
    });
}

TEST_CASE("nobody opens what he may neither wait for nor set")
{
    const auto mode = GENERATE(Mode::manual, Mode::pulse);
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .rights = Rights::parse("0000")}));
    Worker worker{[&](const Line&) {
        become_stranger();
        must_refuse(daemon.client().open("e"), "ask its owner");
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("a wait in one thread is ended by a set in another, by another process and by name")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse);
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode}));
    const auto event = must(client.open("e"));
    for (int who = 0; who < 3; ++who) {
        Worker waiter{[&](const Line& line) {
            const auto its = must(daemon.client().open("e"));
            line.say(0);
            line.say(static_cast<std::uint64_t>(must(its.wait(patience))));
        }};
        waiter.hear();
        if (who == 0)
            REQUIRE(event.set());
        else if (who == 1)
            daemon.done({"set", "e"});
        else
            REQUIRE(client.set(std::vector{"e"s}));
        CHECK(waiter.hear() == 1);
        CHECK(waiter.wait() == 0);
        REQUIRE(event.clear());
    }
}

TEST_CASE("wait_any takes from one of a mixture, and wait_all from all or none")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("m"));
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("s", {.mode = Mode::semaphore}));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    const std::vector names{"m"s, "a"s, "s"s, "p"s};
    const auto events = must(client.open(names));
    const std::vector<const Waitable*> all{&events[0], &events[1], &events[2], &events[3]};

    CHECK_FALSE(must(wait_any(all, 0ns)));
    for (std::size_t i = 0; i < all.size(); ++i) {
        REQUIRE(events[i].set(i == 3 ? 5 : 1));
        const auto woken = must(wait_any(all, patience));
        REQUIRE(woken);
        CHECK(woken->index == i);
        CHECK(woken->count == (i == 3 ? 5 : 1));
        REQUIRE(events[i].clear());
        CHECK_FALSE(must(wait_any(all, 0ns)));
    }

    REQUIRE(events[1].set());
    REQUIRE(events[2].set(2));
    REQUIRE(events[3].set());
    CHECK_FALSE(must(wait_all(all, 20ms)));
    CHECK(must(events[1].is_set())); // Nothing was taken.
    CHECK(must(client.show("s")).count == 2);
    CHECK(must(events[3].is_set()));
    REQUIRE(events[0].set());
    CHECK(must(wait_all(all, patience)));
    CHECK(must(events[0].is_set()));
    CHECK_FALSE(must(events[1].is_set()));
    CHECK(must(client.show("s")).count == 1);
    CHECK_FALSE(must(events[3].is_set()));
}

TEST_CASE("a wait for several of which one may not be consumed is refused, and takes nothing")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("m", {.rights = Rights::parse("0666")}));
    REQUIRE(client.create("s", {.mode = Mode::semaphore, .rights = Rights::parse("0666")}));
    REQUIRE(client.create("a", {.mode = Mode::automatic, .rights = Rights::parse("0666")}));
    const std::vector names{"m"s, "s"s, "a"s};
    const auto owned = must(client.open(names));
    REQUIRE(client.set_rights("a", *Rights::parse("0444")));
    REQUIRE(owned[0].set());
    REQUIRE(owned[1].set());
    REQUIRE(owned[2].set());
    Worker worker{[&](const Line&) {
        become_stranger();
        const auto its_client = daemon.client();
        const auto events = must(its_client.open(names));
        const std::vector<const Waitable*> all{&events[0], &events[1], &events[2]};
        must_refuse(wait_any(all), "w right");
        must_refuse(wait_all(all), "w right");
        must_refuse(wait_any(std::span{all}.last(1)), "'a'");
    }};
    CHECK(worker.wait() == 0);
    CHECK(must(owned[0].is_set()));
    CHECK(must(owned[1].is_set()));
    CHECK(must(owned[2].is_set()));
}

TEST_CASE("253 events are opened in one call, each with its own descriptor")
{
    const Daemon daemon;
    const auto client = daemon.client();
    std::vector<std::string> names;
    for (std::size_t i = 0; i < max_names_per_call; ++i) {
        names.push_back("e/" + std::to_string(i));
        REQUIRE(client.create(names.back()));
    }
    const auto events = must(client.open(names));
    REQUIRE(events.size() == names.size());
    for (std::size_t i = 0; i < names.size(); i += 7)
        REQUIRE(client.set(std::vector{names[i]}));
    for (std::size_t i = 0; i < names.size(); ++i)
        CHECK(must(events[i].is_set()) == (i % 7 == 0));
    std::vector<const Waitable*> all;
    for (const auto& event : events)
        all.push_back(&event);
    CHECK_FALSE(must(wait_all(all, 0ns)));
    for (const auto& event : events)
        REQUIRE(event.set());
    CHECK(must(wait_all(all, patience)));
    names.emplace_back("one/more");
    CHECK(client.open(names).error().code == ErrorCode::invalid);
}

TEST_CASE("what is opened without knowing what it is, is an event or a timer")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::automatic, .initial = 1}));
    REQUIRE(client.arm("tick", {.interval = 1ms}));
    const auto event = must(client.open_either("e"));
    REQUIRE(std::holds_alternative<Event>(event));
    CHECK(std::get<Event>(event).wait(0ns) == 1);
    const auto tick = must(client.open_either("tick"));
    REQUIRE(std::holds_alternative<Timer>(tick));
    CHECK(must(std::get<Timer>(tick).wait(patience)) >= 1);
    CHECK(client.open_either("missing").error().code == ErrorCode::no_such_name);
    CHECK(client.open_either("a//b").error().code == ErrorCode::invalid);
}

TEST_CASE("a timer is set while it has expired and nobody waited for that")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("tick", {.at = 1ns, .clock = Clock::monotonic}));
    const auto tick = must(client.open_timer("tick"));
    REQUIRE(await_readable(tick.fd()));
    CHECK(must(tick.is_set()));
    CHECK(must(tick.wait(0ns)) == 1);
    CHECK_FALSE(must(tick.is_set()));
}

TEST_CASE("a descriptor that is released stays open, and the daemon feeds it no more")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::pulse}));
    UniqueFd released;
    {
        auto event = must(client.open("e"));
        released = UniqueFd{event.release()};
        CHECK(event.fd() == -1);
        CHECK(must(client.show("e")).subscriptions == 1);
    }
    CHECK(::fcntl(released.get(), F_GETFD) != -1);
    CHECK(eventually([&] { return must(client.show("e")).subscriptions == 0; }));
}

TEST_CASE("what is of several clients is not waited for together")
{
    const Daemon daemon;
    const auto one = daemon.client();
    const auto other = daemon.client();
    REQUIRE(one.create("e", {.initial = 1}));
    const auto event = must(one.open("e"));
    const auto same = must(other.open("e"));
    const std::array<const Waitable*, 2> both{&event, &same};
    CHECK(wait_any(both, 0ns).error().code == ErrorCode::invalid);
    CHECK(wait_all(both, 0ns).error().code == ErrorCode::invalid);
}

TEST_CASE("a refusal says whether it is for a limit")
{
    const Configured configured{R"({"limits": {"objects": 1}})"};
    const auto client = configured.daemon.client();
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore}));
    const auto beyond = client.create("e");
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().code == ErrorCode::refused);
    CHECK(beyond.error().is_limit);

    const auto jobs = must(client.open("jobs"));
    constexpr std::uint64_t full = 0xffff'ffff'ffff'fffe;
    REQUIRE(::write(jobs.fd(), &full, sizeof full) == sizeof full);
    CHECK(jobs.set().error().is_limit);
    CHECK(jobs.clear().error().is_limit);
    REQUIRE(client.set_rights("jobs", *Rights::parse("0444")));
    Worker worker{[&](const Line&) {
        become_stranger();
        const auto denied = configured.daemon.client().set(std::vector{"jobs"s});
        require(!denied && denied.error().code == ErrorCode::refused, "not refused");
        require(!denied.error().is_limit, "a right is no limit");
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("the library says what is wrong by a code")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e"));
    CHECK(client.open("a//b").error().code == ErrorCode::invalid);
    CHECK(client.open("missing").error().code == ErrorCode::no_such_name);
    CHECK(client.create("e").error().code == ErrorCode::name_taken);
    CHECK(client.create("e", {.mode = Mode::pulse}).error().code == ErrorCode::name_taken);
    CHECK(client.set(std::vector{"missing"s}).error().code == ErrorCode::no_such_name);
    CHECK(client.wait(std::vector{"e"s}, {.timeout = 0ns}).error().code == ErrorCode::timed_out);
    CHECK(client.wait(std::vector{"missing"s}, {.existing = true}).error().code ==
          ErrorCode::no_such_name);
    CHECK(must(client.open("e")).set(0).error().code == ErrorCode::invalid);
    CHECK(Client{Address::at(daemon.directory() / "nobody")}.status().error().code ==
          ErrorCode::no_daemon);
}

} // namespace
} // namespace evfd::e2e
