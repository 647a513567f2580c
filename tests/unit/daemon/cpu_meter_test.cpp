#include "daemon/ipc/cpu_meter.h"

#include "tests/support/catch.h"

#include <chrono>
#include <thread>

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

nanoseconds cpu_now{};
int readings = 0;

nanoseconds read_cpu()
{
    ++readings;
    return cpu_now;
}

TEST_CASE("short turns are taken as they are, and the CPU clock is read once for many")
{
    CpuMeter meter{read_cpu};
    readings = 0;
    for (int turn = 0; turn < 2'000; ++turn) {
        cpu_now += 10us;
        CHECK(meter.cpu_time_of(10us) == 10us);
    }
    CHECK(readings == 20ms / nanoseconds{max_total_time});
}

TEST_CASE("a turn that was interrupted is charged for the processor time alone")
{
    CpuMeter meter{read_cpu};
    cpu_now += 300us;
    CHECK(meter.cpu_time_of(10s) == 300us);
}

TEST_CASE("the processor time between turns is charged to no turn")
{
    CpuMeter meter{read_cpu};
    const MonotonicTime start{1h};
    meter.begin_turn(start);
    // The thread spends this second on timers and new clients, between the turns of connections.
    cpu_now += 1s;
    meter.begin_turn(start + 20s);
    cpu_now += 300us;
    CHECK(meter.cpu_time_of(800ms) == 300us);
}

TEST_CASE("the CPU clock is read at the begin of few turns")
{
    CpuMeter meter{read_cpu};
    readings = 0;
    for (int turn = 0; turn < 2'000; ++turn)
        meter.begin_turn(MonotonicTime{1h} + turn * 10us);
    CHECK(readings == 20ms / nanoseconds{max_total_time});
}

TEST_CASE("a turn that computes for long is charged for all of it")
{
    CpuMeter meter{read_cpu};
    cpu_now += 1s;
    // The turn of a connection lasted 50 ms. The thread used the other 950 ms of processor time
    // between turns.
    CHECK(meter.cpu_time_of(50ms) == 50ms);
    cpu_now += 50ms;
    CHECK(meter.cpu_time_of(50ms) == 50ms);
}

TEST_CASE("a turn never gains time")
{
    cpu_now = 1s;
    CpuMeter meter{read_cpu};
    // The CPU clock now reads less than before, for example because it is the clock of another
    // thread.
    cpu_now = 0s;
    CHECK(meter.cpu_time_of(10ms) == 0ns);
}

TEST_CASE("the CPU clock is that of the calling thread")
{
    const auto begin = thread_cpu_time();
    std::jthread{[] {
        const auto other_begin = thread_cpu_time();
        while (thread_cpu_time() - other_begin < 20ms) {
        }
    }}.join();
    CHECK(thread_cpu_time() - begin < 20ms); // This thread slept while the other one ran.
}

} // namespace
} // namespace evfd::daemon
