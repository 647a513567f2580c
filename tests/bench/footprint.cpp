#include "tests/bench/footprint.h"

#include "tests/bench/daemon_process.h"

#include <fmt/format.h>

namespace evfd::bench {

namespace {

using e2e::must;

constexpr int starts = 9;

} // namespace

std::vector<Figure> footprint(const std::string& daemon)
{
    constexpr int objects = 10'000;
    constexpr int connections = 4'000;
    std::vector<double> cpu;
    std::vector<double> resident;
    for (int i = 0; i < starts; ++i) {
        const House house{daemon};
        (void)must(house.client().status());
        cpu.push_back(std::chrono::duration<double, std::milli>{cpu_time(house.pid())}.count());
        resident.push_back(static_cast<double>(resident_memory(house.pid())) / (1 << 20));
    }
    const House house{daemon};
    const auto client = house.client();
    const auto names = [](int i) { return fmt::format("some/name/{}", i); };
    (void)must(client.create(names(0)));
    const auto before = own_memory(house.pid());
    for (int i = 1; i <= objects; ++i)
        (void)must(client.create(names(i)));
    const auto with_objects = own_memory(house.pid());
    std::vector<UniqueFd> idle;
    for (int i = 0; i < connections; ++i)
        idle.push_back(connect_to(house.path()));
    std::int64_t connected = 0;
    const bool are_all = e2e::eventually([&] {
        connected = must(client.status()).connections;
        return connected == connections + 1;
    });
    e2e::require(are_all, fmt::format("{} are connected", connected));
    const auto with_all = own_memory(house.pid());
    const auto each = [](std::int64_t bytes, int count) {
        return static_cast<double>(bytes) / count;
    };
    return {
        {.what = "memory of an idle object, journal apart",
         .value = each(with_objects - before, objects),
         .unit = "bytes",
         .most = 500},
        {.what = "memory of an idle connection",
         .value = each(with_all - with_objects, connections),
         .unit = "bytes",
         .most = 2048},
        {.what = "CPU time from start to first answer, median",
         .value = median(cpu),
         .unit = "ms",
         .most = 10},
        {.what = "resident memory of an idle daemon, median",
         .value = median(resident),
         .unit = "MiB",
         .most = 6},
    };
}

Comparison command(const std::string& daemon, const std::string& control, const std::string& bare,
                   int pairs)
{
    constexpr int runs = 20;
    constexpr int turns = 2;
    const House house{daemon};
    const auto client = house.client();
    (void)must(client.create("db/ready"));
    const Installed ours{control};
    const Installed other{bare};
    const auto run = [](const std::vector<std::string>& words) {
        const auto status = e2e::start({.words = words}).wait();
        e2e::require(status == 0, words.front());
    };
    return compare(
        {.work = "evfdctl set, the whole process",
         .against = "a C program that connects and calls once",
         .goal = 2.0},
        pairs, turns,
        timed(runs, [&] { run({ours.path(), "--socket", house.path(), "set", "db/ready"}); }),
        timed(runs, [&] { run({other.path(), house.path()}); }));
}

} // namespace evfd::bench
