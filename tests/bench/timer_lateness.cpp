#include "tests/bench/timer_lateness.h"

#include "common/timerfd.h"
#include "tests/support/process.h"

#include <poll.h>
#include <unistd.h>

namespace evfd::bench {

namespace {

using namespace std::chrono_literals;
using e2e::value_or_throw;

constexpr nanoseconds interval = 1ms;
constexpr int batches_per_side = 20; // Of each in a pair, which takes two seconds.
constexpr int expirations = 50;      // In a turn.

// A timer that is waited for.
class TimerReader {
public:
    TimerReader(int timerfd, nanoseconds first) : timerfd_{timerfd}, first_{first} {}

    // Sleeps until each expiry, as a program does that has nothing else to do, and tells how late
    // it woke up. The first one is of the time before.
    void wake_up(int times, Sample& late)
    {
        wake_up();
        for (int i = 0; i < times; ++i)
            late.push_back(wake_up());
    }

private:
    nanoseconds wake_up()
    {
        pollfd wanted{timerfd_, POLLIN, 0};
        ::poll(&wanted, 1, -1);
        const auto woken = now_on(Clock::monotonic);
        std::uint64_t ticks = 0;
        e2e::require(::read(timerfd_, &ticks, sizeof ticks) == sizeof ticks, "no tick to read");
        expirations_ += static_cast<std::int64_t>(ticks);
        return woken - (first_ + (expirations_ - 1) * interval);
    }

    int timerfd_;
    nanoseconds first_;
    std::int64_t expirations_ = 0;
};

} // namespace

Comparison timer_lateness(const Client& client, int pairs)
{
    Comparison comparison{
        .work = "wake-up after a timer's expiry", .against = "a timerfd of one's own", .goal = {}};
    return compare(std::move(comparison), pairs, [&](bool is_ours_first) {
        const auto start = now_on(Clock::monotonic) + 5ms;
        const auto of_ours = start + (is_ours_first ? 0ns : interval / 2);
        const auto of_bare = start + (is_ours_first ? interval / 2 : 0ns);
        value_or_throw(client.arm(
            "bench/timer", {.at = of_ours, .interval = interval, .clock = Clock::monotonic}));
        const auto timer = value_or_throw(client.open_timer("bench/timer"));
        const auto timerfd = value_or_throw(make_timerfd(Clock::monotonic));
        value_or_throw(set(timerfd, {.first = of_bare, .interval = interval}));

        TimerReader ours{timer.fd(), of_ours};
        TimerReader bare{timerfd.get(), of_bare};
        Pair pair;
        for (int i = 0; i < batches_per_side; ++i) {
            if (is_ours_first)
                ours.wake_up(expirations, pair.ours);
            bare.wake_up(expirations, pair.baseline);
            if (!is_ours_first)
                ours.wake_up(expirations, pair.ours);
        }
        value_or_throw(client.delete_object(std::vector<std::string>{"bench/timer"}));
        return pair;
    });
}

} // namespace evfd::bench
