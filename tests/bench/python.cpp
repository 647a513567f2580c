#include "tests/bench/python.h"

#include "tests/paths.h"

#include <nlohmann/json.hpp>

namespace evfd::bench {

namespace {

Sample parse_sample(const nlohmann::json& times)
{
    Sample sample;
    for (const auto& time : times)
        sample.emplace_back(time.get<std::int64_t>());
    return sample;
}

} // namespace

Comparison python_wakeup_latency(const DaemonProcess& daemon, int pairs)
{
    // python_bench.py uses these events. If they do not exist, it creates them.
    for (const auto* name : {"py/request", "py/reply"})
        (void)e2e::value_or_throw(daemon.client().create(name, {.mode = Mode::automatic}));
    daemon.recover_if_requested();
    const auto ran =
        e2e::run({.argv = {"/usr/bin/python3", EVFDD_SOURCE_DIR "/tests/bench/python_bench.py",
                           daemon.path(), std::to_string(pairs)},
                  .environment = {"PYTHONPATH=" EVFDD_SOURCE_DIR "/client/python"}});
    e2e::require(ran.status == 0, "python_bench.py: " + ran.err);
    Comparison comparison{.work = "set -> wake in Python, auto",
                          .against = "os.eventfd_write, select, os.eventfd_read",
                          .goal = 1.5};
    for (const auto& pair : nlohmann::json::parse(ran.out))
        comparison.pairs.push_back({parse_sample(pair.at(0)), parse_sample(pair.at(1))});
    return comparison;
}

} // namespace evfd::bench
