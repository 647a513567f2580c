#include "tests/bench/benchmarks.h"

#include "tests/bench/daemon_calls.h"
#include "tests/bench/footprint.h"
#include "tests/bench/listing.h"
#include "tests/bench/name_memory.h"
#include "tests/bench/python.h"
#include "tests/bench/recovery.h"
#include "tests/bench/scalability.h"
#include "tests/bench/timer_lateness.h"
#include "tests/bench/turns.h"
#include "tests/bench/wakeup_latency.h"
#include "tests/paths.h"

namespace evfd::bench {

namespace {

// Adds a result of a benchmark to the report. A benchmark has one or several results.
void add(Report& report, Comparison comparison)
{
    report.comparisons.push_back(std::move(comparison));
}
void add(Report& report, Figure figure)
{
    report.figures.push_back(std::move(figure));
}
void add(Report& report, CreateThroughput created)
{
    add(report, std::move(created.comparison));
    add(report, std::move(created.rate));
}
template <class Result>
void add(Report& report, std::vector<Result> results)
{
    for (auto& result : results)
        add(report, std::move(result));
}

// Returns a benchmark that gets a daemon without objects.
template <class Measure>
Benchmark with_daemon(Measure measure)
{
    return [measure](Report& report, const Setup& setup) {
        const DaemonProcess daemon{setup.daemon};
        add(report, measure(daemon, setup.pairs));
    };
}

// Returns a benchmark that starts its daemons itself.
template <class Measure>
Benchmark with_setup(Measure measure)
{
    return [measure](Report& report, const Setup& setup) { add(report, measure(setup)); };
}

} // namespace

std::vector<std::pair<std::string, Benchmark>> benchmarks()
{
    return {
        {"wakeup_latency", with_daemon(wakeup_latency)},
        {"timer_lateness", with_daemon(timer_lateness)},
        {"python", with_daemon(python_wakeup_latency)},
        {"open_latency", with_daemon(open_latency)},
        {"signal_by_name", with_daemon(signal_by_name)},
        {"create_throughput", with_daemon(create_throughput)},
        {"broadcast", with_daemon(broadcast)},
        {"scalability", with_setup([](const Setup& setup) {
             return scalability(setup.daemon, setup.names, setup.pairs);
         })},
        {"command", with_setup([](const Setup& setup) {
             return command(setup.daemon, EVFDD_CTL, EVFDD_BARE_CALL, setup.pairs);
         })},
        {"footprint", with_setup([](const Setup& setup) { return footprint(setup.daemon); })},
        {"name_memory",
         with_setup([](const Setup& setup) { return name_memory(setup.daemon, setup.names); })},
        {"recovery",
         with_setup([](const Setup& setup) { return recovery(setup.daemon, setup.names); })},
        {"listing",
         with_setup([](const Setup& setup) { return listing(setup.daemon, setup.names); })},
        {"longest_turns", with_setup([](const Setup& setup) {
             return longest_turns(setup.daemon, setup.names, EVFDD_TURN_CLOCK);
         })},
    };
}

} // namespace evfd::bench
