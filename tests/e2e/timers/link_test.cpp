// Tests of timers that set an event.
#include "tests/support/timers.h"

#include <signal.h>

namespace evfd::e2e {
namespace {

constexpr std::int64_t missed = 100;

// Stops the daemon until at least `points` expirations of the timer have passed.
void stop_for_points(const DaemonProcess& daemon, const Timer& timer, std::int64_t points)
{
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    for (auto left = points; left > 0;)
        left -= value_or_throw(timer.wait(default_timeout));
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
}

// Disarms the timer "t". Returns a lower and an upper bound of the number of expirations: the
// number just before the call, and the number just after the call.
std::pair<std::int64_t, std::int64_t> disarm(const Client& client, const Grid& grid)
{
    const auto before = grid.expirations_by(now_on(Clock::monotonic));
    value_or_throw(client.disarm(std::vector{"t"s}));
    return {before, grid.expirations_by(now_on(Clock::monotonic))};
}

// Arms the timer "t" to set the event "e" every 5 ms, stops the daemon for a while, and disarms the
// timer. Repeats these steps until the number of expirations is known exactly, and returns the
// number. Calls `begin` before each try.
template <class Begin>
std::int64_t disarm_after_missed_points(const DaemonProcess& daemon, const Client& client,
                                        Begin begin)
{
    while (true) {
        begin();
        value_or_throw(client.arm("t", {.interval = 5ms, .sets = "e"}));
        const auto grid = grid_of(client, "t");
        const auto timer = value_or_throw(client.open_timer("t"));
        stop_for_points(daemon, timer, missed);
        const auto [lower, upper] = disarm(client, grid);
        if (lower == upper)
            return lower;
    }
}

TEST_CASE(
    "a semaphore gets a token for each expiration, including those during a stop of the daemon")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));

    const auto tokens = [&] { return value_or_throw(client.show("e")).count; };

    const auto points = disarm_after_missed_points(daemon, client, [&] {
        // Clears the semaphore until it stays empty. The daemon can still add tokens of the
        // previous try, because it adds missed tokens in several iterations of its event loop.
        do {
            value_or_throw(client.clear(std::vector{"e"s}));
            wait_for_duration(5ms);
        } while (tokens() != 0);
    });

    CHECK(points >= missed);
    CHECK(poll_until([&] { return tokens() == points; }));
    wait_for_duration(20ms);
    CHECK(tokens() == points);
}

TEST_CASE("each of 100 subscribers of a pulse counts the expirations during a stop of the daemon")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::pulse}));
    std::vector<Event> subscribers;
    for (int i = 0; i < 100; ++i)
        subscribers.push_back(value_or_throw(client.open("e")));
    std::int64_t pulses_before = 0;

    const auto points = disarm_after_missed_points(daemon, client, [&] {
        const auto pulses = [&] { return *value_or_throw(client.show("e")).pulses; };
        // Waits until no more pulses of the previous try arrive. The daemon sends missed pulses in
        // several iterations of its event loop.
        do {
            pulses_before = pulses();
            wait_for_duration(5ms);
        } while (pulses() != pulses_before);
        for (const auto& subscriber : subscribers)
            value_or_throw(subscriber.clear());
    });

    CHECK(points >= missed);
    for (const auto& subscriber : subscribers) {
        std::int64_t sum = 0;
        // The daemon sends the missed pulses in several iterations of its event loop.
        while (sum < points) {
            const auto came = value_or_throw(subscriber.wait(default_timeout));
            REQUIRE(came > 0);
            sum += came;
        }
        CHECK(sum == points);
    }
    REQUIRE(daemon.is_idle());
    for (const auto& subscriber : subscribers)
        CHECK(value_or_throw(subscriber.wait(0ns)) == 0);
    CHECK(*value_or_throw(client.show("e")).pulses - pulses_before == points);
}

TEST_CASE("a manual or auto event is set once for the expirations during a stop of the daemon")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode}));
    const auto event = value_or_throw(client.open("e"));

    disarm_after_missed_points(daemon, client, [] {});

    CHECK(value_or_throw(event.is_set()));
    CHECK(value_or_throw(event.wait(0ns)) == 1);
    CHECK(value_or_throw(event.is_set()) == (mode == Mode::manual));
    REQUIRE(event.clear());
    wait_for_duration(20ms);
    CHECK_FALSE(value_or_throw(event.is_set())); // The timer is disarmed, so the event stays clear.
}

TEST_CASE("a one-shot timer sets its event once, in each mode and without a waiter")
{
    const auto [mode, when] = GENERATE(table<Mode, std::string>({
        {Mode::manual, "in 5 ms"},
        {Mode::automatic, "in 5 ms"},
        {Mode::semaphore, "in 5 ms"},
        {Mode::semaphore, "in the past"},
        {Mode::pulse, "in 5 ms"},
        {Mode::pulse, "in the past"},
    }));
    INFO(to_string(mode) << ' ' << when);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = mode}));
    const auto event = value_or_throw(client.open("e"));
    if (when == "in 5 ms")
        REQUIRE(client.arm("t", {.after = 5ms, .sets = "e"}));
    else
        REQUIRE(client.arm("t", {.at = 1s, .clock = Clock::realtime, .sets = "e"}));

    REQUIRE(await_readable(event.fd()));

    CHECK(value_or_throw(event.wait(0ns)) == 1);
    REQUIRE(event.clear());
    wait_for_duration(20ms);
    CHECK_FALSE(value_or_throw(event.is_set()));
    const auto timer = value_or_throw(client.show("t")).timer;
    CHECK(timer->state == TimerState::expired);
    CHECK(timer->sets->text() == "e");
    CHECK(timer->is_target_deleted == false);
}

TEST_CASE("a waiter for an event by name is released by the timer that sets it")
{
    const auto mode = GENERATE("manual"s, "auto"s, "semaphore"s, "pulse"s);
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader waiting{daemon.ctl_command({"wait", "e", "--any"})};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.checked_ctl({"arm", "t", "--in", "10ms", "--sets", "e"});
    CHECK(waiting.read_line() == "e");
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a semaphore gets exactly one token for each expiration")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(client.arm("t", {.interval = 1ms, .sets = "e"}));
    const auto grid = grid_of(client, "t");
    constexpr std::int64_t tokens = 500;
    for (std::int64_t taken = 0; taken < tokens; ++taken) {
        REQUIRE(value_or_throw(event.wait(default_timeout)) == 1);
        const auto now = now_on(Clock::monotonic);
        if (now < grid.expiration(taken))
            FAIL_CHECK("token " << taken << " came early");
    }
    const auto [lower, upper] = disarm(client, grid);
    const auto all = [&] { return tokens + value_or_throw(client.show("e")).count.value_or(-1); };
    // Waits, because a daemon that is late adds the tokens in several iterations of its event loop.
    CHECK(poll_until([&] { return all() >= lower; }));
    wait_for_duration(5ms);
    CHECK(all() <= upper);
}

TEST_CASE("a timer whose event was deleted reports it and continues for its subscribers")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    REQUIRE(client.arm("t", {.interval = 5ms, .sets = "e"}));
    const auto timer = value_or_throw(client.open_timer("t"));
    CHECK(show_json(daemon, "t")["timer"]["isTargetDeleted"] == false);
    CHECK(daemon.checked_ctl({"show", "t"}).contains("  sets         e\n"));

    daemon.checked_ctl({"delete", "e"});

    const auto object = show_json(daemon, "t");
    CHECK(object["timer"]["isTargetDeleted"] == true);
    CHECK(object["timer"]["sets"] == "e");
    CHECK(object["timer"]["state"] == "armed");
    CHECK(daemon.checked_ctl({"show", "t"}).contains("  sets         e, which was deleted\n"));
    for (int i = 0; i < 5; ++i)
        CHECK(value_or_throw(timer.wait(default_timeout)) > 0);

    // Creates a new event with the name of the deleted target. The timer must not set the new
    // event.
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    for (int i = 0; i < 5; ++i)
        CHECK(value_or_throw(timer.wait(default_timeout)) > 0);
    CHECK(value_or_throw(client.show("e")).count == 0);
    CHECK(show_json(daemon, "t")["timer"]["isTargetDeleted"] == true);

    REQUIRE(client.arm("t", {.interval = 5ms, .sets = "e"}));
    CHECK(value_or_throw(value_or_throw(client.open("e")).wait(default_timeout)) == 1);
    CHECK(show_json(daemon, "t")["timer"]["isTargetDeleted"] == false);
}

TEST_CASE("a timer armed again without an event sets none")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::automatic}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(client.arm("t", {.interval = 2ms, .sets = "e"}));
    REQUIRE(value_or_throw(event.wait(default_timeout)) == 1);
    REQUIRE(client.arm("t", {.interval = 2ms}));
    REQUIRE(event.clear());
    const auto timer = value_or_throw(client.open_timer("t"));
    for (int i = 0; i < 5; ++i)
        REQUIRE(value_or_throw(timer.wait(default_timeout)) > 0);
    CHECK_FALSE(value_or_throw(event.is_set()));
    CHECK_FALSE(show_json(daemon, "t")["timer"].contains("sets"));
}

TEST_CASE("a timer may set only an event that its caller may set")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto [permissions, may] =
        GENERATE(table<std::string, bool>({{"0666", true}, {"0222", true}, {"0444", false}}));
    INFO(permissions);
    REQUIRE(
        client.create("e", {.mode = Mode::semaphore, .permissions = Permissions::parse("0666")}));
    REQUIRE(client.set_permissions("e", *Permissions::parse(permissions)));
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        const auto armed = worker_client.arm("t", {.interval = 2ms, .sets = "e"});
        require(armed.has_value() == may, "the permission is not respected");
        if (may)
            return;
        require(armed.error().code == ErrorCode::refused, armed.error().message);
        require(armed.error().message.contains("w permission"), armed.error().message);
        require(!worker_client.show("t"), "the refused call created a timer");
        value_or_throw(worker_client.arm("t", {.after = 1h}));
        const auto again = worker_client.arm("t", {.interval = 2ms, .sets = "e"});
        require(!again && again.error().code == ErrorCode::refused, "the call was not refused");
        require(value_or_throw(worker_client.show("t")).timer->interval == 0ns,
                "the refused call changed the timer");
    }};
    CHECK(worker.wait() == 0);
    if (!may)
        return;
    // Grants read permission besides write permission, because a caller other than root needs read
    // permission for the wait below.
    REQUIRE(client.set_permissions("e", *Permissions::parse("0666")));
    CHECK(client.wait(std::vector{"e"s}, {.timeout = default_timeout}));
}

TEST_CASE(
    "a timer sets its event only while the user that armed it may, also after a kill of the daemon")
{
    skip_unless_root();
    SupervisedDaemon daemon;
    const auto client = daemon.client();
    REQUIRE(
        client.create("e", {.mode = Mode::semaphore, .permissions = Permissions::parse("0666")}));
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        value_or_throw(worker_client.arm("t", {.interval = 2ms, .sets = "e"},
                                         {.permissions = Permissions::parse("0600")}));
        parent.send(0);
        // Waits until the test says that it has revoked the permission.
        parent.receive();
        require(value_or_throw(worker_client.show("t")).timer->is_target_denied == true,
                "the denied link is not reported");
        parent.send(0);
    }};
    worker.receive();
    REQUIRE(client.wait(std::vector{"e"s}, {.timeout = default_timeout}));
    CHECK(value_or_throw(client.show("e")).last_set->uid == unprivileged_uid);

    REQUIRE(client.set_permissions("e", *Permissions::parse("0600")));
    const auto timer = value_or_throw(client.open_timer("t"));
    const auto count = [&] { return value_or_throw(client.show("e")).count; };
    const auto stays = [&] {
        const auto before = count();
        REQUIRE(
            value_or_throw(client.wait(std::vector{"t"s}, {.timeout = default_timeout, .count = 5}))
                .size() == 1);
        CHECK(count() == before);
    };
    stays();
    worker.send(0);
    worker.receive();
    CHECK(worker.wait() == 0);
    CHECK(
        daemon.ctl({"show", "t"}).out.contains("which the user who armed it may not set any more"));
    CHECK(daemon.log().contains("which armed it, has lost the permission"));
    daemon.kill_daemon();
    stays();

    REQUIRE(client.clear(std::vector{"e"s}));
    REQUIRE(client.set_permissions("e", *Permissions::parse("0666")));
    CHECK(client.wait(std::vector{"e"s}, {.timeout = default_timeout}));
}

TEST_CASE("the log reports a few broken links per second and the number of the others")
{
    constexpr int timers = 400;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto began = monotonic_now();
    for (int i = 0; i < timers; ++i) {
        const auto event = "e" + std::to_string(i);
        REQUIRE(client.create(event));
        REQUIRE(client.arm("t" + std::to_string(i), {.interval = 20ms, .sets = event}));
        REQUIRE(client.delete_object(std::vector{event}));
    }
    REQUIRE(
        client.wait(std::vector{"t" + std::to_string(timers - 1)}, {.timeout = default_timeout}));
    // The daemon logs a limited number of lines in each second, and can use up this number at the
    // start of a second. So a second that has only begun counts as a whole second.
    const auto seconds = (monotonic_now() - began) / 1s + 1;
    const auto log = daemon.log();
    std::int64_t lines = 0;
    for (auto at = log.find("the event was deleted"); at != log.npos;
         at = log.find("the event was deleted", at + 1))
        ++lines;
    CHECK(lines >= 1);
    CHECK(lines <= 20 * (seconds + 1));
}

TEST_CASE("an invalid event for a timer is refused and changes nothing")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e"));
    REQUIRE(client.arm("u", {.after = 1h}));
    const auto [sets, interval, code, says] =
        GENERATE(table<std::string, nanoseconds, ErrorCode, std::string>({
            {"t", 5ms, ErrorCode::invalid, "'t' cannot set itself"},
            {"missing", 5ms, ErrorCode::no_such_name, "no object named 'missing'"},
            {"u", 5ms, ErrorCode::name_taken, "'u' is a timer, not an event"},
            {"a//b", 5ms, ErrorCode::invalid, "'a//b' is not a valid name"},
            {"e", 999'999ns, ErrorCode::invalid, "at least 1 ms"},
        }));
    INFO(sets);
    const auto refused = client.arm("t", {.interval = interval, .sets = sets});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == code);
    INFO(refused.error().message);
    CHECK(refused.error().message.contains(says));
    CHECK(client.show("t").error().code == ErrorCode::no_such_name);
    CHECK(client.arm("t", {.interval = 1ms, .sets = "e"}));
}

} // namespace
} // namespace evfd::e2e
