// Tests of the client library with the real daemon: each mode with each combination of permissions.
#include "tests/support/configured_daemon.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <variant>

namespace evfd::e2e {
namespace {

// Creates an event of the given mode and permissions, and runs `work` with the event. If the test
// runs as root, `work` runs as an unprivileged user, because root is allowed everything.
void with_event(Mode mode, const std::string& permissions,
                const std::function<void(const Event&)>& work)
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .permissions = Permissions::parse("0666")}));
    REQUIRE(client.set_permissions("e", *Permissions::parse(permissions)));
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        work(value_or_throw(daemon.client().open("e")));
    }};
    CHECK(worker.wait() == 0);
}

void require_refused(const Expected<void>& tried, std::string_view hint)
{
    require(!tried && tried.error().code == ErrorCode::refused, "the call was not refused");
    require(tried.error().message.contains(hint), tried.error().message);
}
template <class T>
void require_refused(const Expected<T>& tried, std::string_view hint)
{
    require_refused(tried ? Expected<void>{} : std::unexpected(tried.error()), hint);
}

TEST_CASE("a user that may wait and set has the eventfd and uses it for everything")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    with_event(mode, "0666", [&](const Event& event) {
        require(event.mode() == mode && event.access() == Access{true, true}, "wrong mode");
        require(!value_or_throw(event.is_set()), "the event is set from the start");
        require(value_or_throw(event.wait(0ns)) == 0, "a wait of an unset event succeeded");
        value_or_throw(event.set(2));
        require(value_or_throw(event.is_set()), "the event is not set");
        pollfd wanted{event.fd(), POLLIN, 0};
        require(::poll(&wanted, 1, 0) == 1, "not readable");
        require(value_or_throw(event.wait(0ns)) == 1, "a wait did not see the set");
        require(value_or_throw(event.is_set()) == (mode != Mode::automatic),
                "a wait consumed wrongly");
        require(value_or_throw(event.wait_until(monotonic_now())) == (mode != Mode::automatic),
                "the second wait consumed wrongly");
        value_or_throw(event.set());
        value_or_throw(event.clear());
        require(!value_or_throw(event.is_set()), "set after a clear");
        std::uint64_t one = 1;
        require(::write(event.fd(), &one, sizeof one) == sizeof one,
                "the descriptor is not an eventfd");
        require(value_or_throw(event.wait(0ns)) == 1, "a wait did not see the write(2)");
    });
}

TEST_CASE("a user that may only wait has a descriptor that cannot set the event")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .permissions = Permissions::parse("0666")}));
    const auto owned = value_or_throw(client.open("e"));
    REQUIRE(client.set_permissions("e", *Permissions::parse("0444")));
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto event = value_or_throw(daemon.client().open("e"));
        require(event.access() == Access{.wait = true, .set = false}, "the access is wrong");
        require_refused(event.set(), "w permission");
        require_refused(event.clear(), "w permission");
        std::uint64_t one = 1;
        require(::write(event.fd(), &one, sizeof one) < 0, "the descriptor can be written");
        std::uint64_t count = 0;
        require(::read(event.fd(), &count, sizeof count) < 0, "the descriptor can be read");
        require(!value_or_throw(event.is_set()), "the event is set from the start");
        const auto check_wait = [&](std::int64_t expected) {
            if (mode == Mode::manual)
                return require(value_or_throw(event.wait(0ns)) == expected,
                               "the result of the wait is wrong");
            // A wait would consume a token, which requires the w permission. The caller lacks this
            // permission, so the library refuses the wait at once.
            require_refused(event.wait(0ns), "w permission");
            require_refused(event.wait(), "w permission");
            require_refused(event.wait_until(monotonic_deadline(default_timeout)), "needs r and w");
        };
        check_wait(0);
        parent.send(0);
        pollfd wanted{event.fd(), POLLIN, 0};
        require(::poll(&wanted, 1, static_cast<int>(default_timeout / 1ms)) == 1, "not readable");
        require(value_or_throw(event.is_set()), "the event is not set");
        check_wait(1);
    }};
    CHECK(worker.receive() == 0);
    REQUIRE(owned.set());
    CHECK(worker.wait() == 0);
    CHECK(value_or_throw(owned.is_set()));
}

TEST_CASE("a user that may only set has no descriptor and sets through the daemon")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .permissions = Permissions::parse("0666")}));
    const auto owned = value_or_throw(client.open("e"));
    REQUIRE(client.set_permissions("e", *Permissions::parse("0222")));
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto event = value_or_throw(daemon.client().open("e"));
        require(event.access() == Access{.wait = false, .set = true}, "the access is wrong");
        require(event.fd() == -1, "the event has a descriptor");
        require_refused(event.is_set(), "r permission");
        require_refused(event.wait(0ns), "r permission");
        value_or_throw(event.set(3));
        parent.send(0);
        parent.receive();
        value_or_throw(event.clear());
        parent.send(0);
    }};
    CHECK(worker.receive() == 0);
    CHECK(value_or_throw(owned.is_set()));
    CHECK(value_or_throw(owned.wait(0ns)) == 1);
    CHECK(value_or_throw(owned.is_set()) == (mode != Mode::automatic));
    worker.send(0);
    worker.receive();
    CHECK_FALSE(value_or_throw(owned.is_set()));
    CHECK(worker.wait() == 0);
}

TEST_CASE("a pulse grants what its permissions say, for each combination")
{
    const auto [permissions, access] = GENERATE(table<std::string, Access>({
        {"0666", {true, true}},
        {"0444", {true, false}},
        {"0222", {false, true}},
    }));
    with_event(Mode::pulse, permissions, [&](const Event& event) {
        require(event.access() == access, "the access is wrong");
        require((event.fd() >= 0) == access.wait, "wrong descriptor");
        if (access.set)
            value_or_throw(event.set(2));
        else
            require_refused(event.set(), "w permission");
        if (access.wait)
            require(value_or_throw(event.wait(0ns)) == (access.set ? 2 : 0), "wrong count");
        else
            require_refused(event.wait(0ns), "r permission");
        // A clear of a pulse discards only the caller's own pulses.
        if (access.wait)
            value_or_throw(event.clear());
        else
            require_refused(event.clear(), "r permission");
    });
}

TEST_CASE("an open is refused if the user may neither wait nor set")
{
    const auto mode = GENERATE(Mode::manual, Mode::pulse);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode, .permissions = Permissions::parse("0000")}));
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        require_refused(daemon.client().open("e"), "ask its owner");
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("a wait ends by a set in another thread, by another process, or by name")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore, Mode::pulse);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode}));
    const auto event = value_or_throw(client.open("e"));
    for (int setter = 0; setter < 3; ++setter) {
        Worker waiter{[&](const WorkerSocket& parent) {
            const auto worker_event = value_or_throw(daemon.client().open("e"));
            parent.send(0);
            parent.send(
                static_cast<std::uint64_t>(value_or_throw(worker_event.wait(default_timeout))));
        }};
        waiter.receive();
        if (setter == 0)
            REQUIRE(event.set());
        else if (setter == 1)
            daemon.checked_ctl({"set", "e"});
        else
            REQUIRE(client.set(std::vector{"e"s}));
        CHECK(waiter.receive() == 1);
        CHECK(waiter.wait() == 0);
        REQUIRE(event.clear());
    }
}

TEST_CASE("wait_any consumes from one object of a mixture, and wait_all from all or none")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("m"));
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("s", {.mode = Mode::semaphore}));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    const std::vector names{"m"s, "a"s, "s"s, "p"s};
    const auto events = value_or_throw(client.open(names));
    const std::vector<const Waitable*> all{&events[0], &events[1], &events[2], &events[3]};

    CHECK_FALSE(value_or_throw(wait_any(all, 0ns)));
    for (std::size_t i = 0; i < all.size(); ++i) {
        REQUIRE(events[i].set(i == 3 ? 5 : 1));
        const auto woken = value_or_throw(wait_any(all, default_timeout));
        REQUIRE(woken);
        CHECK(woken->index == i);
        CHECK(woken->count == (i == 3 ? 5 : 1));
        REQUIRE(events[i].clear());
        CHECK_FALSE(value_or_throw(wait_any(all, 0ns)));
    }

    REQUIRE(events[1].set());
    REQUIRE(events[2].set(2));
    REQUIRE(events[3].set());
    CHECK_FALSE(value_or_throw(wait_all(all, 20ms)));
    // The wait for all objects timed out, so it consumed nothing.
    CHECK(value_or_throw(events[1].is_set()));
    CHECK(value_or_throw(client.show("s")).count == 2);
    CHECK(value_or_throw(events[3].is_set()));
    REQUIRE(events[0].set());
    CHECK(value_or_throw(wait_all(all, default_timeout)));
    CHECK(value_or_throw(events[0].is_set()));
    CHECK_FALSE(value_or_throw(events[1].is_set()));
    CHECK(value_or_throw(client.show("s")).count == 1);
    CHECK_FALSE(value_or_throw(events[3].is_set()));
}

TEST_CASE("a wait for several objects is refused and consumes nothing if one may not be consumed")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("m", {.permissions = Permissions::parse("0666")}));
    REQUIRE(
        client.create("s", {.mode = Mode::semaphore, .permissions = Permissions::parse("0666")}));
    REQUIRE(
        client.create("a", {.mode = Mode::automatic, .permissions = Permissions::parse("0666")}));
    const std::vector names{"m"s, "s"s, "a"s};
    const auto owned = value_or_throw(client.open(names));
    REQUIRE(client.set_permissions("a", *Permissions::parse("0444")));
    REQUIRE(owned[0].set());
    REQUIRE(owned[1].set());
    REQUIRE(owned[2].set());
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        const auto events = value_or_throw(worker_client.open(names));
        const std::vector<const Waitable*> all{&events[0], &events[1], &events[2]};
        require_refused(wait_any(all), "w permission");
        require_refused(wait_all(all), "w permission");
        require_refused(wait_any(std::span{all}.last(1)), "'a'");
    }};
    CHECK(worker.wait() == 0);
    CHECK(value_or_throw(owned[0].is_set()));
    CHECK(value_or_throw(owned[1].is_set()));
    CHECK(value_or_throw(owned[2].is_set()));
}

TEST_CASE("an open of 253 events returns a descriptor for each")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    std::vector<std::string> names;
    for (std::size_t i = 0; i < max_names_per_call; ++i) {
        names.push_back("e/" + std::to_string(i));
        REQUIRE(client.create(names.back()));
    }
    const auto events = value_or_throw(client.open(names));
    REQUIRE(events.size() == names.size());
    for (std::size_t i = 0; i < names.size(); i += 7)
        REQUIRE(client.set(std::vector{names[i]}));
    for (std::size_t i = 0; i < names.size(); ++i)
        CHECK(value_or_throw(events[i].is_set()) == (i % 7 == 0));
    std::vector<const Waitable*> all;
    for (const auto& event : events)
        all.push_back(&event);
    CHECK_FALSE(value_or_throw(wait_all(all, 0ns)));
    for (const auto& event : events)
        REQUIRE(event.set());
    CHECK(value_or_throw(wait_all(all, default_timeout)));
    names.emplace_back("one/more");
    CHECK(client.open(names).error().code == ErrorCode::invalid);
}

TEST_CASE("open_either returns an event or a timer, whichever has the name")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::automatic, .initial = 1}));
    REQUIRE(client.arm("tick", {.interval = 1ms}));
    const auto event = value_or_throw(client.open_either("e"));
    REQUIRE(std::holds_alternative<Event>(event));
    CHECK(std::get<Event>(event).wait(0ns) == 1);
    const auto tick = value_or_throw(client.open_either("tick"));
    REQUIRE(std::holds_alternative<Timer>(tick));
    CHECK(value_or_throw(std::get<Timer>(tick).wait(default_timeout)) >= 1);
    CHECK(client.open_either("missing").error().code == ErrorCode::no_such_name);
    CHECK(client.open_either("a//b").error().code == ErrorCode::invalid);
}

TEST_CASE("a timer is set after it expired and until a wait consumes the expiration")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("tick", {.at = 1ns, .clock = Clock::monotonic}));
    const auto tick = value_or_throw(client.open_timer("tick"));
    REQUIRE(await_readable(tick.fd()));
    CHECK(value_or_throw(tick.is_set()));
    CHECK(value_or_throw(tick.wait(0ns)) == 1);
    CHECK_FALSE(value_or_throw(tick.is_set()));
}

TEST_CASE("a released descriptor stays open, and its subscription ends")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::pulse}));
    UniqueFd released;
    {
        auto event = value_or_throw(client.open("e"));
        released = UniqueFd{event.release()};
        CHECK(event.fd() == -1);
        CHECK(value_or_throw(client.show("e")).subscribers == 1);
    }
    CHECK(::fcntl(released.get(), F_GETFD) != -1);
    CHECK(poll_until([&] { return value_or_throw(client.show("e")).subscribers == 0; }));
}

TEST_CASE("objects of different clients cannot be waited for together")
{
    const DaemonProcess daemon;
    const auto one = daemon.client();
    const auto other = daemon.client();
    REQUIRE(one.create("e", {.initial = 1}));
    const auto event = value_or_throw(one.open("e"));
    const auto same = value_or_throw(other.open("e"));
    const std::array<const Waitable*, 2> both{&event, &same};
    CHECK(wait_any(both, 0ns).error().code == ErrorCode::invalid);
    CHECK(wait_all(both, 0ns).error().code == ErrorCode::invalid);
}

TEST_CASE("a refusal reports whether a limit caused it")
{
    const ReloadableDaemon configured{R"({"limits": {"objects": 1}})"};
    const auto client = configured.daemon.client();
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore}));
    const auto beyond = client.create("e");
    REQUIRE_FALSE(beyond);
    CHECK(beyond.error().code == ErrorCode::refused);
    CHECK(beyond.error().is_limit);

    const auto jobs = value_or_throw(client.open("jobs"));
    constexpr std::uint64_t full = 0xffff'ffff'ffff'fffe;
    REQUIRE(::write(jobs.fd(), &full, sizeof full) == sizeof full);
    CHECK(jobs.set().error().is_limit);
    CHECK(jobs.clear().error().is_limit);
    REQUIRE(client.set_permissions("jobs", *Permissions::parse("0444")));
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto denied = configured.daemon.client().set(std::vector{"jobs"s});
        require(!denied && denied.error().code == ErrorCode::refused, "the call was not refused");
        require(!denied.error().is_limit, "a missing permission is reported as a limit");
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("the library reports each failure by its error code")
{
    const DaemonProcess daemon;
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
    CHECK(value_or_throw(client.open("e")).set(0).error().code == ErrorCode::invalid);
    CHECK(Client{Address::at(daemon.directory() / "nobody")}.status().error().code ==
          ErrorCode::no_daemon);
}

TEST_CASE("the sets of set_oneway are all executed before a later call of the client")
{
    constexpr int sets = 5'000; // Too many for the socket, and for one iteration.
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("s", {.mode = Mode::semaphore}));
    for (int i = 0; i < sets; ++i) {
        REQUIRE(client.set_oneway(std::vector{"s"s}));
        if (i % 100 == 0)
            REQUIRE(client.set_oneway(std::vector{"missing"s}));
    }
    CHECK(value_or_throw(client.show("s")).count == sets);
}

TEST_CASE("the sets of set_oneway are executed although the client ends at once")
{
    constexpr int sets = 200;
    DaemonProcess daemon;
    const auto observer = daemon.client();
    REQUIRE(observer.create("s", {.mode = Mode::semaphore}));
    daemon.process().signal(SIGSTOP);
    for (int i = 0; i < 3; ++i) {
        const auto client = daemon.client();
        for (int j = 0; j < sets; ++j)
            REQUIRE(client.set_oneway(std::vector{"s"s}));
    }
    daemon.process().signal(SIGCONT);
    CHECK(poll_until([&] { return value_or_throw(observer.show("s")).count == 3 * sets; }));
}

} // namespace
} // namespace evfd::e2e
