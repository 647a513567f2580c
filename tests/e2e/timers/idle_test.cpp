// Tests that the daemon does nothing for armed timers until they expire.
#include "tests/support/timers.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr int timer_count = 10'000;

// Arms many timers. Sends all calls before it reads the replies. Each timer expires in an hour at
// the earliest.
void arm_many(WireClient& wire)
{
    constexpr int batch = 500;
    const std::vector<std::string> clocks{"monotonic", "boottime", "realtime"};
    for (int i = 0; i < timer_count; i += batch) {
        for (int j = i; j < i + batch; ++j)
            wire.call("Arm", {{"name", "t/" + std::to_string(j)},
                              {"clock", clocks[static_cast<std::size_t>(j) % clocks.size()]},
                              {"afterNSec", 3'600'000'000'000 + j},
                              {"intervalNSec", j % 2 * 1'000'000}});
        for (int j = i; j < i + batch; ++j)
            require(wire.reply()["parameters"]["created"] == true, "the create failed");
    }
}

std::ptrdiff_t count_descriptors(pid_t process)
{
    const std::filesystem::directory_iterator all{"/proc/" + std::to_string(process) + "/fd"};
    return std::distance(begin(all), end(all));
}

TEST_CASE("10,000 armed timers without a waiter cost the daemon no time and no descriptors")
{
    constexpr auto a_while = 10s;
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    wire.request("Status");
    const auto descriptors_before = count_descriptors(daemon.pid());

    arm_many(wire);

    const auto few = 3; // The timers use three clocks. The daemon needs one timerfd for each clock.
    CHECK(count_descriptors(daemon.pid()) <= descriptors_before + few);
    CHECK(wire.request("Status")["parameters"]["objects"] == timer_count);
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();

    CHECK_FALSE(await_readable(wire.socket().get(), a_while));

    CHECK(daemon.usage() == before);
    CHECK(daemon.is_idle());
    wire.request("Status");
    REQUIRE(daemon.is_idle());
    // Checks that a call changes the result of usage(). If a call did not change the result, two
    // equal results would not show that the daemon was idle.
    CHECK_FALSE(daemon.usage() == before);
}

TEST_CASE("strace sees no system call for armed timers, even those that expire unnoticed")
{
    skip_unless_strace();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("often", {.interval = 1ms}));
    REQUIRE(client.arm("once", {.after = 10ms}));
    REQUIRE(client.arm("moment", {.at = now_on(Clock::realtime) + 10ms, .interval = 3ms}));
    const auto timer = value_or_throw(client.open_timer("often"));
    REQUIRE(daemon.is_idle());
    CHECK(trace_system_calls(daemon, [&] {
              for (int i = 0; i < 500; ++i)
                  value_or_throw(timer.wait(default_timeout));
          }) == std::vector<std::string>{});
    REQUIRE(daemon.is_idle());
    CHECK_FALSE(trace_system_calls(daemon, [&] {
                    value_or_throw(client.status());
                    REQUIRE(daemon.is_idle());
                }).empty());
    CHECK(value_or_throw(client.show("once")).timer->state == TimerState::expired);
}

TEST_CASE(
    "50 subscribers of a fast timer do not wake the daemon, which counts only for its own waits")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 1ms}));
    std::vector<Timer> timers;
    for (int i = 0; i < 50; ++i)
        timers.push_back(value_or_throw(client.open_timer("t")));
    // For a wait by name, the daemon counts the expirations itself. The daemon must stop counting
    // when the wait has ended.
    REQUIRE(client.wait(std::vector{"t"s}, {.count = 3}));
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();
    for (int i = 0; i < 20; ++i)
        for (const auto& timer : timers)
            REQUIRE(value_or_throw(timer.wait(default_timeout)) > 0);
    CHECK(daemon.usage() == before);
}

TEST_CASE("the daemon is quiet again when nobody needs a timer to be counted")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto need = GENERATE("event"s, "wait"s, "monitor"s, "disarmed"s);
    const auto check_quiet = [&] {
        REQUIRE(daemon.is_idle());
        const auto before = daemon.usage();
        wait_for_duration(100ms);
        CHECK(daemon.usage() == before);
    };
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    REQUIRE(client.arm("t", {.interval = 2ms, .sets = need == "event" ? "e" : ""}));
    {
        WireClient wire{daemon.path()};
        if (need == "wait") {
            wire.call("Wait", {{"items", items({"t"}, {{"count", 1'000'000}})}});
            REQUIRE(daemon.has_waits("t", 1));
        } else if (need == "monitor" || need == "disarmed") {
            wire.call("Monitor", Json::object(), "more");
            for (int i = 0; i < 10; ++i)
                wire.reply();
        } else {
            REQUIRE(value_or_throw(value_or_throw(client.open("e")).wait(default_timeout)) == 1);
        }
        const auto before = daemon.usage();
        CHECK(poll_until([&] { return daemon.usage().switches > before.switches + 5; }));
        if (need == "event")
            REQUIRE(client.arm("t", {.interval = 2ms}));
        if (need == "disarmed") {
            REQUIRE(client.disarm(std::vector{"t"s}));
            check_quiet();
        }
    }
    REQUIRE(poll_until([&] { return value_or_throw(client.status()).connections == 1; }));
    check_quiet();
}

} // namespace
} // namespace evfd::e2e
