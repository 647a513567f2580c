#include "tests/bench/footprint.h"

#include <fmt/format.h>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr int starts = 9;

} // namespace

std::vector<Figure> footprint(const DaemonSettings& settings)
{
    constexpr int objects = 10'000;
    constexpr int connections = 4'000;
    std::vector<double> cpu;
    std::vector<double> resident;
    for (int i = 0; i < starts; ++i) {
        const DaemonProcess daemon_process{settings};
        daemon_process.recover_if_requested();
        (void)value_or_throw(daemon_process.client().status());
        cpu.push_back(
            std::chrono::duration<double, std::milli>{cpu_time(daemon_process.pid())}.count());
        resident.push_back(static_cast<double>(resident_memory(daemon_process.pid())) / (1 << 20));
    }
    const DaemonProcess daemon_process{settings};
    const auto client = daemon_process.client();
    const auto names = [](int i) { return fmt::format("some/name/{}", i); };
    (void)value_or_throw(client.create(names(0)));
    daemon_process.recover_if_requested();
    const auto before = private_memory(daemon_process.pid());
    for (int i = 1; i <= objects; ++i)
        (void)value_or_throw(client.create(names(i)));
    const auto with_objects = private_memory(daemon_process.pid());
    std::vector<UniqueFd> idle;
    for (int i = 0; i < connections; ++i)
        idle.push_back(connect_to(daemon_process.path()));
    std::int64_t connected = 0;
    const bool all_are_connected = e2e::poll_until([&] {
        connected = value_or_throw(client.status()).connections;
        return connected == connections + 1;
    });
    e2e::require(all_are_connected, fmt::format("{} are connected", connected));
    const auto with_all = private_memory(daemon_process.pid());
    const auto each = [](std::int64_t bytes, int count) {
        return static_cast<double>(bytes) / count;
    };
    return {
        {.name = "memory of an idle object, journal apart",
         .value = each(with_objects - before, objects),
         .unit = "bytes",
         .max = 500},
        {.name = "memory of an idle connection",
         .value = each(with_all - with_objects, connections),
         .unit = "bytes",
         .max = 2048},
        {.name = "CPU time from start to first answer, median",
         .value = median(cpu),
         .unit = "ms",
         .max = 10},
        {.name = "resident memory of an idle daemon, median",
         .value = median(resident),
         .unit = "MiB",
         .max = 6},
    };
}

Comparison command(const DaemonSettings& settings, const std::string& control,
                   const std::string& bare, int pairs)
{
    constexpr int runs = 20;
    constexpr int batches = 2;
    const DaemonProcess daemon_process{settings};
    const auto client = daemon_process.client();
    (void)value_or_throw(client.create("db/ready"));
    daemon_process.recover_if_requested();
    const StrippedProgram our_program{control};
    const StrippedProgram bare_program{bare};
    const auto run = [](const std::vector<std::string>& arguments) {
        const auto status = e2e::start({.argv = arguments}).wait();
        e2e::require(status == 0, arguments.front());
    };
    return compare(
        {.work = "evfdctl set, the whole process",
         .against = "a C program that connects and calls once",
         .goal = 2.0},
        pairs, batches,
        timed(runs,
              [&] {
                  run({our_program.path(), "--socket", daemon_process.path(), "set", "db/ready"});
              }),
        timed(runs, [&] { run({bare_program.path(), daemon_process.path()}); }));
}

} // namespace evfd::bench
