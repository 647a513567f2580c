#include "tests/bench/lateness.h"

#include "common/timerfd.h"
#include "tests/e2e_process.h"

#include <fcntl.h>
#include <poll.h>

namespace evfd::bench {

namespace {

using namespace std::chrono_literals;
using e2e::must;

constexpr nanoseconds interval = 1ms;
constexpr int expirations = 500; // A pair's half takes half a second.

// A first point that is well ahead.
nanoseconds soon()
{
    return now_on(Clock::monotonic) + 5ms;
}

// Sleeps until each expiry, as a program does that has nothing else to do.
Sample wake_ups(const UniqueFd& timerfd, nanoseconds first)
{
    Sample late;
    std::int64_t points = 0;
    for (int i = 0; i < expirations; ++i) {
        pollfd wanted{timerfd.get(), POLLIN, 0};
        ::poll(&wanted, 1, -1);
        const auto woken = now_on(Clock::monotonic);
        points += static_cast<std::int64_t>(must(take_expirations(timerfd)));
        late.push_back(woken - (first + (points - 1) * interval));
    }
    return late;
}

} // namespace

Comparison lateness(const Client& client, int pairs)
{
    constexpr auto name = "bench/timer";
    const auto ours = [&] {
        const auto first = soon();
        must(client.arm(name, {.at = first, .interval = interval, .clock = Clock::monotonic}));
        const auto timer = must(client.open_timer(name));
        const UniqueFd timerfd{::fcntl(timer.fd(), F_DUPFD_CLOEXEC, 0)};
        return wake_ups(timerfd, first);
    };
    const auto bare = [] {
        const auto first = soon();
        const auto timerfd = must(make_timerfd(Clock::monotonic));
        must(set(timerfd, {.first = first, .interval = interval}));
        return wake_ups(timerfd, first);
    };
    return compare("wake-up after a timer's expiry", pairs, ours, bare);
}

} // namespace evfd::bench
