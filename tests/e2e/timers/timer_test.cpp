// Tests of timers on descriptors: each subscriber gets every expiration, no expiration is early,
// and the timer does not drift.
#include "tests/support/timers.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>
#include <optional>

namespace evfd::e2e {
namespace {

constexpr std::size_t worker_count = 50;

// Checks the reads of a timer's descriptor. The first expiration that the descriptor counts is
// unknown, because the time of the open is not known exactly. Each read narrows down which
// expiration is the first. The reads must not contradict each other.
class TickLedger {
public:
    TickLedger(Grid grid, std::int64_t first_at_least, std::int64_t first_at_most)
        : grid_{grid}, at_least_{first_at_least}, at_most_{first_at_most}
    {
    }

    void add(const TimerRead& read)
    {
        require(read.count > 0, "readable without a tick");
        sum_ += read.count;
        at_least_ = std::max(at_least_, grid_.expirations_by(read.before) - sum_);
        at_most_ = std::min(at_most_, grid_.expirations_by(read.after) - sum_);
        require(at_least_ <= grid_.expirations_by(read.after) - sum_, "a tick was early");
        require(at_most_ >= grid_.expirations_by(read.before) - sum_, "a tick was lost");
        require(at_least_ <= at_most_, "the ticks do not lie on one grid");
    }
    bool is_exact() const { return at_least_ == at_most_; }
    std::int64_t sum() const { return sum_; }

private:
    Grid grid_;
    // The first expiration that the descriptor counts has an index from `at_least_` to `at_most_`.
    std::int64_t at_least_;
    std::int64_t at_most_;
    std::int64_t sum_ = 0;
};

void read_until_exact(const Timer& timer, TickLedger& ledger, std::int64_t times)
{
    for (std::int64_t i = 0; i < times || !ledger.is_exact(); ++i)
        ledger.add(read_next_expiration(timer.fd(), Clock::monotonic,
                                        [&] { return value_or_throw(timer.wait(0ns)); }));
}

TEST_CASE("50 processes that open one timer each get every tick, also after it is armed again")
{
    constexpr std::int64_t reads = 25;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 20ms}));
    const auto grid = grid_of(client, "t");
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::size_t i = 0; i < worker_count; ++i)
        workers.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const auto before = now_on(Clock::monotonic);
            const auto timer = value_or_throw(daemon.client().open_timer("t"));
            const auto after = now_on(Clock::monotonic);
            TickLedger first{grid, grid.expirations_by(before), grid.expirations_by(after)};
            read_until_exact(timer, first, reads);
            parent.send(static_cast<std::uint64_t>(first.sum()));

            const nanoseconds start{parent.receive()};
            TickLedger second{{start, 5ms}, 0, 0};
            read_until_exact(timer, second, reads);
            parent.send(static_cast<std::uint64_t>(second.sum()));
        }));
    for (const auto& worker : workers)
        CHECK(worker->receive() >= reads);
    CHECK(value_or_throw(client.show("t")).subscribers == worker_count);

    REQUIRE_FALSE(value_or_throw(client.arm("t", {.interval = 5ms})).created);

    const auto second_grid = grid_of(client, "t");
    CHECK(second_grid.interval == 5ms);
    for (const auto& worker : workers)
        worker->send(static_cast<std::uint64_t>(second_grid.first.count()));
    for (const auto& worker : workers) {
        CHECK(worker->receive() >= reads);
        CHECK(worker->wait() == 0);
    }
    CHECK(poll_until([&] { return value_or_throw(client.show("t")).subscribers == 0; }));
}

TEST_CASE("a waiter on a descriptor is released by the schedule that replaces the first one")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.after = 1h}));
    std::vector<std::unique_ptr<Worker>> waiters;
    for (int i = 0; i < 10; ++i) {
        waiters.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const auto timer = value_or_throw(daemon.client().open_timer("t"));
            parent.send(0);
            parent.send(static_cast<std::uint64_t>(value_or_throw(timer.wait(default_timeout))));
        }));
        waiters.back()->receive();
    }
    REQUIRE(value_or_throw(value_or_throw(client.open_timer("t")).wait(0ns)) == 0);

    REQUIRE(client.arm("t", {.after = 5ms}));

    for (const auto& waiter : waiters) {
        CHECK(waiter->receive() == 1);
        CHECK(waiter->wait() == 0);
    }
}

bool can_wake_the_machine(Clock clock)
{
    const auto timerfd = make_timerfd(clock);
    return timerfd || timerfd.error().error != EPERM;
}

// The result of expire_many_times().
struct ExpiryCounts {
    std::int64_t early = 0; // The number of reads that counted a future expiration.
    std::int64_t lost = 0;  // The number of reads that did not count a past expiration.
    // The total number of expirations that the reads returned. No expiration comes due during the
    // last read. So if every read is correct, this number equals `had_come`.
    std::int64_t counted = 0;
    // The number of expirations whose time had come by the last read, according to the schedule.
    std::int64_t had_come = 0;
};

// Lets the timer expire at least 10,000 times and checks each read. Returns nothing if the wall
// clock was set meanwhile.
std::optional<ExpiryCounts> expire_many_times(const Client& client, const Timer& timer, Clock clock,
                                              nanoseconds interval)
{
    constexpr std::int64_t expirations = 10'000;
    const auto witness = value_or_throw(make_timerfd(Clock::realtime));
    value_or_throw(set(witness, {.first = nanoseconds::max() / 2, .cancel_on_clock_change = true}));
    const Grid grid{now_on(clock) + 2ms, interval};
    value_or_throw(client.arm("t", {.at = grid.first, .interval = interval, .clock = clock}));

    ExpiryCounts counts;
    bool is_exact = false;
    while (counts.counted < expirations || !is_exact) {
        const auto read = read_next_expiration(timer.fd(), clock,
                                               [&] { return value_or_throw(timer.wait(0ns)); });
        counts.counted += read.count;
        counts.had_come = grid.expirations_by(read.after);
        counts.early += read.after < grid.expiration(counts.counted - 1) ? 1 : 0;
        counts.lost += grid.expiration(counts.counted) <= read.before ? 1 : 0;
        is_exact = grid.expirations_by(read.before) == counts.had_come;
        if (counts.early > 0 || counts.lost > 0)
            break;
    }
    // Waits, because the kernel reports only after a while that the wall clock was set.
    wait_for_duration(10ms);
    if (is_wall_clock(clock) && !take_expirations(witness))
        return {};
    return counts;
}

TEST_CASE("10,000 expirations on each clock are never early and do not drift")
{
    const auto [clock, interval] = GENERATE(table<Clock, nanoseconds>({
        {Clock::realtime, 100us},
        {Clock::monotonic, 130us},
        {Clock::boottime, 170us},
        {Clock::realtime_alarm, 150us},
        {Clock::boottime_alarm, 200us},
    }));
    INFO(to_string(clock));
    const DaemonProcess daemon;
    const auto client = daemon.client();
    if (!can_wake_the_machine(clock)) {
        const auto refused = client.arm("t", {.interval = interval, .clock = clock});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::refused);
        CHECK(refused.error().message.contains("CAP_WAKE_ALARM"));
        return;
    }
    REQUIRE(client.arm("t", {.at = now_on(clock) + 1h, .clock = clock}));
    const auto timer = value_or_throw(client.open_timer("t"));
    const WallClockLock untouched;
    std::optional<ExpiryCounts> counts;
    for (int tries = 0; tries < 100 && !counts; ++tries)
        counts = expire_many_times(client, timer, clock, interval);
    // This check fails if another process sets the wall clock again and again.
    REQUIRE(counts);
    CHECK(counts->early == 0);
    CHECK(counts->lost == 0);
    CHECK(counts->counted == counts->had_come);
    CHECK(counts->counted >= 10'000);
}

TEST_CASE("alarm clocks are refused if the daemon may not wake the machine")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    const DaemonProcess daemon{{}, {.argv = {}, .in_child = [] {
                                        // Drops CAP_WAKE_ALARM. The daemon of an unprivileged user
                                        // does not have this capability anyway.
                                        ::prctl(PR_CAPBSET_DROP, CAP_WAKE_ALARM);
                                    }}};
    const auto client = daemon.client();
    const auto refused = client.arm("t", {.interval = 20ms, .clock = clock});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::refused);
    CHECK(refused.error().message.contains("CAP_WAKE_ALARM"));
    // The refused call has not created the timer.
    CHECK(client.show("t").error().code == ErrorCode::no_such_name);

    REQUIRE(client.arm("t", {.after = 1h}));
    const auto before = value_or_throw(client.show("t")).timer;
    CHECK(client.arm("t", {.after = 2h, .clock = clock}).error().code == ErrorCode::refused);
    const auto after = value_or_throw(client.show("t")).timer;
    CHECK(after->clock == Clock::monotonic);
    CHECK(after->next == before->next);

    const auto dashed = clock == Clock::realtime_alarm ? "realtime-alarm"s : "boottime-alarm"s;
    const auto ran = daemon.ctl({"arm", "u", "--in", "1s", "--clock", dashed});
    CHECK(ran.status == 4);
    CHECK(ran.err.contains("CAP_WAKE_ALARM"));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("a timer opened after its only expiration is readable at once for each subscriber")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.after = 1ms}));
    REQUIRE(client.wait(std::vector{"t"s}, {.timeout = default_timeout}));
    for (int i = 0; i < 3; ++i) {
        const auto timer = value_or_throw(client.open_timer("t"));
        CHECK(value_or_throw(timer.wait(default_timeout)) == 1);
        CHECK(value_or_throw(timer.wait(0ns)) == 0);
        CHECK(value_or_throw(timer.remaining()) == std::nullopt);
    }
}

TEST_CASE("a timer opened between two expirations expires first at the next one")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.at = 1s, .interval = 1h, .clock = Clock::monotonic}));
    const auto before = now_on(Clock::monotonic);
    const auto timer = value_or_throw(client.open_timer("t"));
    CHECK(value_or_throw(timer.wait(0ns)) == 0);
    const auto left = value_or_throw(timer.remaining());
    const auto after = now_on(Clock::monotonic);
    REQUIRE(left);
    const Grid grid{1s, 1h};
    CHECK(*left <= grid.expiration(grid.expirations_by(after)) - before);
    CHECK(*left >= grid.expiration(grid.expirations_by(before)) - after);
}

TEST_CASE("a disarm stops the timer for all subscribers and discards unread expirations")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 1ms}));
    const auto one = value_or_throw(client.open_timer("t"));
    const auto other = value_or_throw(daemon.client().open_timer("t"));
    REQUIRE(await_readable(one.fd()));
    REQUIRE(await_readable(other.fd()));

    REQUIRE(one.disarm());

    for (const auto* timer : {&one, &other}) {
        CHECK_FALSE(await_readable(timer->fd(), 20ms));
        CHECK(value_or_throw(timer->wait(0ns)) == 0);
        CHECK(value_or_throw(timer->remaining()) == std::nullopt);
    }
    const auto late = value_or_throw(client.open_timer("t"));
    CHECK_FALSE(await_readable(late.fd(), 20ms));
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::disarmed);
    REQUIRE(other.arm({.after = 1ms}));
    for (const auto* timer : {&one, &other, &late})
        CHECK(value_or_throw(timer->wait(default_timeout)) == 1);
}

TEST_CASE("a descriptor keeps ticking without the daemon or its name, and is no longer subscribed")
{
    DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 5ms}));
    const auto timer = value_or_throw(client.open_timer("t"));
    const auto how_it_ends = GENERATE("killed"s, "deleted"s, "unsubscribed"s);
    const UniqueFd duplicate{::dup(timer.fd())};
    if (how_it_ends == "killed") {
        daemon.kill();
    } else if (how_it_ends == "deleted") {
        REQUIRE(client.delete_object(std::vector{"t"s}));
    } else {
        std::optional<Timer> closed = value_or_throw(client.open_timer("t"));
        const UniqueFd of_closed{::dup(closed->fd())};
        CHECK(value_or_throw(client.show("t")).subscribers == 2);
        closed.reset();
        CHECK(poll_until([&] { return value_or_throw(client.show("t")).subscribers == 1; }));
        REQUIRE(client.disarm(std::vector{"t"s}));
        CHECK(value_or_throw(timer.remaining()) == std::nullopt);
        CHECK(value_or_throw(time_left(of_closed)) > 0ns);
        return;
    }
    for (int i = 0; i < 5; ++i)
        CHECK(value_or_throw(timer.wait(default_timeout)) > 0);
}

} // namespace
} // namespace evfd::e2e
