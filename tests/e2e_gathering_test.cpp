// Waits for any and all of events and timers together, also where the daemon must take for us.
#include "tests/e2e_timers.h"

#include <signal.h>

#include <memory>
#include <utility>

namespace evfd::e2e {
namespace {

using All = std::vector<const Waitable*>;

TEST_CASE("wait_any takes from one of events and timers, and leaves the others as they are")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    REQUIRE(client.arm("t", {.after = 1h}));
    const auto event = must(client.open("a"));
    const auto pulse = must(client.open("p"));
    const auto timer = must(client.open_timer("t"));
    const All all{&event, &pulse, &timer};
    CHECK_FALSE(must(wait_any(all, 0ns)));
    CHECK_FALSE(must(wait_any(all, 20ms)));

    REQUIRE(timer.arm({.after = 5ms}));
    auto woken = must(wait_any(all, patience));
    REQUIRE(woken);
    CHECK(woken->index == 2);
    CHECK(woken->count == 1);
    CHECK_FALSE(must(wait_any(all, 0ns)));

    REQUIRE(timer.arm({.after = 1ms}));
    REQUIRE(event.set());
    REQUIRE(pulse.set(3));
    REQUIRE(await_readable(timer.fd()));
    std::vector<std::int64_t> counts(all.size());
    for (std::size_t left = all.size(); left > 0; --left) {
        woken = must(wait_any(all, patience));
        REQUIRE(woken);
        CHECK(std::exchange(counts[woken->index], woken->count) == 0);
    }
    CHECK(counts == std::vector<std::int64_t>{1, 3, 1});
    CHECK_FALSE(must(wait_any(all, 0ns)));
}

TEST_CASE("wait_all waits for events and timers and takes from all or from none")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("m"));
    REQUIRE(client.arm("t", {.at = 1s}));
    REQUIRE(client.arm("u", {.after = 1h}));
    const auto event = must(client.open("a"));
    const auto manual = must(client.open("m"));
    const auto expired = must(client.open_timer("t"));
    const auto other = must(client.open_timer("u"));
    const All all{&event, &expired, &other, &manual};
    REQUIRE(event.set());
    REQUIRE(manual.set());
    CHECK_FALSE(must(wait_all(all, 0ns)));
    CHECK_FALSE(must(wait_all(all, 20ms)));
    CHECK(must(event.is_set()));
    CHECK(await_readable(expired.fd(), 0ns));

    REQUIRE(client.arm("u", {.interval = 5ms}));

    CHECK(must(wait_all(all, patience)));
    CHECK_FALSE(must(event.is_set()));
    CHECK(must(manual.is_set()));
    CHECK(must(expired.wait(0ns)) == 0);
    CHECK(must(other.wait(patience)) > 0);
}

TEST_CASE("a timer that is cancelled or disarmed ends no wait for several but one armed anew does")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.arm("t", {.after = 1h}));
    Worker worker{[&](const Line& line) {
        const auto its = daemon.client();
        const auto event = must(its.open("a"));
        const auto timer = must(its.open_timer("t"));
        const All all{&event, &timer};
        line.say(0);
        const auto woken = must(wait_any(all, patience));
        require(woken && woken->index == 1 && woken->count == 1, "not the timer");
        line.say(0);
    }};
    worker.hear();
    REQUIRE(client.disarm(std::vector{"t"s}));
    CHECK_FALSE(await_readable(worker.fd().get(), 20ms));
    REQUIRE(client.arm("t", {.after = 1ms}));
    worker.hear();
    CHECK(worker.wait() == 0);
}

// What a stranger waits for: an event that only the daemon may take from for him, and what is his.
struct Mixture {
    explicit Mixture(const Client& client)
        : shared{must(client.open("shared"))}, pulse{must(client.open("pulse"))},
          timer{must(client.open_timer("timer"))}
    {
        require(!is_root() || !shared.access().set, "he may set it");
    }
    All all() const { return {&shared, &pulse, &timer}; }

    Event shared;
    Event pulse;
    Timer timer;
};
constexpr std::size_t of_shared = 0;
constexpr std::size_t of_pulse = 1;
constexpr std::size_t of_timer = 2;

void make_mixture(const Client& client, Mode mode, const Schedule& schedule)
{
    must(client.create("shared", {.mode = mode, .rights = Rights::parse("0444")}));
    must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0666")}));
    must(client.arm("timer", schedule, {.rights = Rights::parse("0666")}));
}

TEST_CASE("in both places, one look without a timeout finds what is there and takes one thing only")
{
    skip_unless_root();
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    const Daemon daemon;
    const auto client = daemon.client();
    make_mixture(client, mode, {.after = 1h});
    Worker worker{[&](const Line& line) {
        become_stranger();
        const Mixture mixture{daemon.client()};
        const auto all = mixture.all();
        require(!must(wait_any(all, 0ns)), "nothing is there");
        require(!must(wait_all(all, 0ns)), "nothing is there");
        for (const auto wanted : {of_shared, of_pulse, of_timer}) {
            line.say(wanted);
            line.hear();
            const auto woken = must(wait_any(all, 0ns));
            require(woken && woken->index == wanted && woken->count == 1, "not what is there");
            require(!must(wait_any(all, 0ns)), "there is no more");
        }
        line.say(0);
        line.hear(); // Now all are there.
        std::vector<std::int64_t> counts(all.size());
        for (std::size_t left = all.size(); left > 0; --left) {
            const auto woken = must(wait_any(all, 0ns));
            require(woken.has_value(), "something was lost");
            counts[woken->index] += woken->count;
        }
        require(counts == std::vector<std::int64_t>{1, 1, 1}, "wrong counts");
        require(!must(wait_any(all, 0ns)), "there is no more");
    }};
    const auto expire = [&] {
        REQUIRE(client.arm("timer", {.after = 1ms}));
        REQUIRE(client.wait(std::vector{"timer"s}));
        wait_through(2ms); // Each has a descriptor of his own.
    };
    REQUIRE(worker.hear() == of_shared);
    REQUIRE(client.set(std::vector{"shared"s}));
    worker.say(0);
    REQUIRE(worker.hear() == of_pulse);
    REQUIRE(client.set(std::vector{"pulse"s}));
    worker.say(0);
    REQUIRE(worker.hear() == of_timer);
    expire();
    worker.say(0);
    worker.hear();
    REQUIRE(client.set(std::vector{"shared"s, "pulse"s}));
    expire();
    worker.say(0);
    CHECK(worker.wait() == 0);
    CHECK(must(client.show("shared")).count == 0);
}

TEST_CASE("a wait for all in both places takes once all are there, and nothing before")
{
    skip_unless_root();
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    const Daemon daemon;
    const auto client = daemon.client();
    make_mixture(client, mode, {.after = 1h});
    const auto order = GENERATE(std::vector{0, 1, 2}, std::vector{1, 2, 0}, std::vector{2, 0, 1},
                                std::vector{2, 1, 0});
    Worker worker{[&](const Line& line) {
        become_stranger();
        const Mixture mixture{daemon.client()};
        const auto all = mixture.all();
        for (int i = 0; i < 2; ++i) {
            line.say(0);
            line.hear();
            require(!must(wait_all(all, 5ms)), "not all are there");
        }
        line.say(0);
        require(must(wait_all(all, patience)), "not released");
        require(must(mixture.pulse.wait(0ns)) == 0, "the pulse is not taken");
        require(must(mixture.timer.wait(0ns)) == 0, "the timer is not taken");
        line.say(0);
    }};
    bool is_given = false;
    for (const auto which : order) {
        worker.hear();
        if (which == 0)
            REQUIRE(client.set(std::vector{"shared"s}));
        else if (which == 1)
            REQUIRE(client.set(std::vector{"pulse"s}));
        else
            REQUIRE(client.arm("timer", {.after = 1ms}));
        is_given |= which == 0;
        if (which == order.back())
            continue;
        CHECK(must(client.show("shared")).count == (is_given ? 1 : 0)); // Nothing took it.
        worker.say(0);
    }
    worker.hear();
    CHECK(worker.wait() == 0);
    CHECK(must(client.show("shared")).count == 0);
}

// Spins, as no sleep is that exact.
void spin_until(nanoseconds moment)
{
    while (now_on(Clock::monotonic) < moment) {
    }
}

// Takes whatever comes until "stop" is set; then tells how much of each it was, and between which
// moments the timer was read last. Of the shared event it tells each time.
void take_all_that_comes(const Line& line, const Daemon& daemon)
{
    become_stranger();
    const auto client = daemon.client();
    const Mixture mixture{client};
    const auto stop = must(client.open("stop"));
    auto all = mixture.all();
    all.push_back(&stop);
    const auto of_stop = all.size() - 1;
    std::vector<std::int64_t> sums(all.size());
    line.say(0);
    while (sums[of_stop] == 0) {
        const auto woken = must(wait_any(all, patience));
        require(woken.has_value(), "nothing comes");
        sums[woken->index] += woken->count;
        if (woken->index == of_shared)
            line.say(0);
    }
    sums[of_pulse] += must(mixture.pulse.wait(0ns)); // What it had not come to.
    const auto last = look_at_next(mixture.timer.fd(), Clock::monotonic,
                                   [&] { return must(mixture.timer.wait(0ns)); });
    sums[of_timer] += last.count;
    for (const auto which : {of_shared, of_pulse, of_timer})
        line.say(static_cast<std::uint64_t>(sums[which]));
    line.say(static_cast<std::uint64_t>(last.before.count()));
    line.say(static_cast<std::uint64_t>(last.after.count()));
}

TEST_CASE("nothing is lost where what the daemon takes for us comes while our own rings")
{
    skip_unless_root();
    constexpr int rounds = 2'000;
    constexpr auto interval = 1ms;
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    const auto with_pulses = GENERATE(false, true); // Or the timer alone rings.
    const Daemon daemon;
    const auto client = daemon.client();
    make_mixture(client, mode, {.interval = interval});
    REQUIRE(client.create("stop", {.rights = Rights::parse("0444")}));
    REQUIRE(client.set_rights("shared", *Rights::parse("0666")));
    const auto shared = must(client.open("shared"));
    REQUIRE(client.set_rights("shared", *Rights::parse("0444")));
    const auto pulse = must(client.open("pulse"));
    const auto grid = grid_of(client, "timer");
    const auto before = now_on(Clock::monotonic);
    Worker worker{[&](const Line& line) { take_all_that_comes(line, daemon); }};
    worker.hear();
    const auto after = now_on(Clock::monotonic);

    for (int round = 0; round < rounds; ++round) {
        // From a little before a point of the grid until the other has long been woken by it.
        const auto offset = std::chrono::microseconds{-60 + round % 40 * 6};
        const auto now = now_on(Clock::monotonic);
        spin_until(grid.point(grid.points_by(now + 60us)) + offset);
        if (with_pulses && round % 3 == 0)
            REQUIRE(pulse.set());
        REQUIRE(shared.set());
        if (with_pulses && round % 3 == 1)
            REQUIRE(pulse.set());
        worker.hear(); // It has it; if it were lost it would not.
    }

    REQUIRE(client.set(std::vector{"stop"s}));
    const auto taken = static_cast<std::int64_t>(worker.hear());
    const auto pulses = static_cast<std::int64_t>(worker.hear());
    const auto ticks = static_cast<std::int64_t>(worker.hear());
    const nanoseconds last_not_before{worker.hear()};
    const nanoseconds last_not_after{worker.hear()};
    CHECK(worker.wait() == 0);
    CHECK(taken == rounds);
    CHECK(must(client.show("shared")).count == 0);
    CHECK(pulses == *must(client.show("pulse")).pulses);
    CHECK(ticks >= grid.points_by(last_not_before) - grid.points_by(after));
    CHECK(ticks <= grid.points_by(last_not_after) - grid.points_by(before));
}

TEST_CASE("tokens that are given without a pause are each taken once or are left")
{
    skip_unless_root();
    constexpr std::int64_t given = 2'000;
    const Daemon daemon;
    const auto client = daemon.client();
    make_mixture(client, Mode::semaphore, {.interval = 200us});
    REQUIRE(client.create("stop", {.rights = Rights::parse("0444")}));
    std::vector<std::unique_ptr<Worker>> takers;
    for (int i = 0; i < 3; ++i) {
        takers.push_back(std::make_unique<Worker>([&](const Line& line) {
            become_stranger();
            const auto its = daemon.client();
            const Mixture mixture{its};
            const auto stop = must(its.open("stop"));
            auto all = mixture.all();
            all.push_back(&stop);
            line.say(0);
            std::uint64_t tokens = 0;
            while (true) {
                const auto woken = must(wait_any(all, patience));
                require(woken.has_value(), "nothing comes");
                if (woken->index == of_shared)
                    ++tokens;
                if (woken->index + 1 == all.size())
                    break;
            }
            line.say(tokens);
        }));
        takers.back()->hear();
    }
    const auto pulse = must(client.open("pulse"));
    for (std::int64_t i = 0; i < given; ++i) {
        REQUIRE(client.set(std::vector{"shared"s}));
        if (i % 7 == 0)
            REQUIRE(pulse.set());
    }
    REQUIRE(client.set(std::vector{"stop"s}));
    std::int64_t taken = 0;
    for (const auto& taker : takers) {
        taken += static_cast<std::int64_t>(taker->hear());
        CHECK(taker->wait() == 0);
    }
    // What was taken for one who called it off comes back once the daemon notices that.
    const auto left = [&] { return must(client.show("shared")).count.value_or(0); };
    CHECK(eventually([&] { return taken + left() >= given; }));
    REQUIRE(daemon.is_idle());
    CHECK(taken + left() == given);
}

TEST_CASE("a wait in both places goes on with the daemon that comes after")
{
    skip_unless_root();
    Daemon daemon;
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    make_mixture(daemon.client(), mode, {.after = 1h});
    Worker any{[&](const Line& line) {
        become_stranger();
        const Mixture mixture{daemon.client()};
        line.say(0);
        const auto woken = must(wait_any(mixture.all(), patience));
        require(woken && woken->index == of_shared && woken->count == 1, "not the event");
        line.say(0);
    }};
    any.hear();
    REQUIRE(daemon.has_waits("shared", 1));

    daemon.kill();
    daemon.restart();

    REQUIRE(daemon.has_waits("shared", 1));
    const auto client = daemon.client();
    REQUIRE(client.create("shared", {.mode = mode, .rights = Rights::parse("0444")}));
    REQUIRE(client.set(std::vector{"shared"s}));
    any.hear();
    CHECK(any.wait() == 0);
    CHECK(must(client.show("shared")).count == 0);
}

TEST_CASE("our own timer ends a wait in both places while the daemon is stopped or being restarted")
{
    skip_unless_root();
    Daemon daemon;
    const bool is_killed = GENERATE(false, true);
    make_mixture(daemon.client(), Mode::automatic, {.interval = 50ms});
    Worker worker{[&](const Line& line) {
        become_stranger();
        const Mixture mixture{daemon.client()};
        line.say(0);
        for (std::int64_t ticks = 0; ticks < 10;) {
            const auto woken = must(wait_any(mixture.all(), patience));
            require(woken && woken->index == of_timer, "not the timer");
            ticks += woken->count;
        }
        line.say(0);
    }};
    worker.hear();
    if (is_killed) {
        daemon.kill();
        daemon.restart();
    } else {
        REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    }
    worker.hear();
    CHECK(worker.wait() == 0);
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
    CHECK(eventually([&] { return must(daemon.client().status()).waits == 0; }));
}

} // namespace
} // namespace evfd::e2e
