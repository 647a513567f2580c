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
// A pair is one sample of an evfdd timer and one sample of a private timerfd. Each sample has the
// times of this many batches. A pair takes two seconds.
constexpr int batches_per_side = 20;
constexpr int expirations = 50; // The number of expirations in a batch.

// Waits for a timer and records how late each wake-up is.
class TimerReader {
public:
    TimerReader(int timerfd, nanoseconds first) : timerfd_{timerfd}, first_{first} {}

    // Sleeps until each expiration, as an idle program does, and appends the delay of each wake-up.
    // The first wake-up is not measured, because the first expiration can be earlier than this
    // call.
    void measure(int count, Sample& delays)
    {
        wait();
        for (int i = 0; i < count; ++i)
            delays.push_back(wait());
    }

private:
    // Waits for an expiration and returns the delay of the wake-up.
    nanoseconds wait()
    {
        pollfd polled{timerfd_, POLLIN, 0};
        ::poll(&polled, 1, -1);
        const auto woken = now_on(Clock::monotonic);
        std::uint64_t expired = 0;
        e2e::require(::read(timerfd_, &expired, sizeof expired) == sizeof expired, "read(2)");
        expirations_ += static_cast<std::int64_t>(expired);
        return woken - (first_ + (expirations_ - 1) * interval);
    }

    int timerfd_;
    nanoseconds first_;
    std::int64_t expirations_ = 0;
};

} // namespace

Comparison timer_lateness(const DaemonProcess& daemon, int pairs)
{
    daemon.recover_if_requested(); // Each pair of samples has a timer of its own.
    const auto client = daemon.client();
    Comparison comparison{
        .work = "wake-up after a timer's expiry", .against = "a private timerfd", .goal = {}};
    return compare(std::move(comparison), pairs, [&](bool is_ours_first) {
        const auto start = now_on(Clock::monotonic) + 5ms;
        const auto our_first = start + (is_ours_first ? 0ns : interval / 2);
        const auto bare_first = start + (is_ours_first ? interval / 2 : 0ns);
        value_or_throw(client.arm(
            "bench/timer", {.at = our_first, .interval = interval, .clock = Clock::monotonic}));
        const auto timer = value_or_throw(client.open_timer("bench/timer"));
        const auto timerfd = value_or_throw(make_timerfd(Clock::monotonic));
        value_or_throw(set(timerfd, {.first = bare_first, .interval = interval}));

        TimerReader ours{timer.fd(), our_first};
        TimerReader bare{timerfd.get(), bare_first};
        Pair pair;
        for (int i = 0; i < batches_per_side; ++i) {
            if (is_ours_first)
                ours.measure(expirations, pair.ours);
            bare.measure(expirations, pair.baseline);
            if (!is_ours_first)
                ours.measure(expirations, pair.ours);
        }
        value_or_throw(client.delete_object(std::vector<std::string>{"bench/timer"}));
        return pair;
    });
}

} // namespace evfd::bench
