// evfdd-bench: compares the speed of evfdd with programs that use only the kernel.
#include "tests/bench/daemon_calls.h"
#include "tests/bench/daemon_process.h"
#include "tests/bench/footprint.h"
#include "tests/bench/python.h"
#include "tests/bench/report.h"
#include "tests/bench/timer_lateness.h"
#include "tests/bench/wakeup_latency.h"
#include "tests/paths.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <exception>
#include <functional>
#include <utility>

namespace evfd::bench {

namespace {

constexpr int min_pairs = 9;

using Benchmark = std::function<void(Report&, int pairs)>;

// Returns all benchmarks, each with its name for the option --only.
std::vector<std::pair<std::string, Benchmark>> benchmarks()
{
    const auto with_daemon = [](auto measure) {
        return [measure](Report& report, int pairs) {
            const DaemonProcess daemon{EVFDD_DAEMON};
            report.comparisons.push_back(measure(daemon, pairs));
        };
    };
    return {
        {"wakeup_latency",
         [](Report& report, int pairs) {
             const DaemonProcess daemon{EVFDD_DAEMON};
             for (auto& comparison : wakeup_latency(daemon, pairs))
                 report.comparisons.push_back(std::move(comparison));
         }},
        {"timer_lateness", with_daemon([](const DaemonProcess& daemon, int pairs) {
             return timer_lateness(daemon.client(), pairs);
         })},
        {"python", with_daemon(python_wakeup_latency)},
        {"open_latency", with_daemon(open_latency)},
        {"signal_by_name", with_daemon(signal_by_name)},
        {"create_throughput",
         [](Report& report, int pairs) {
             const DaemonProcess daemon{EVFDD_DAEMON};
             auto created = create_throughput(daemon, pairs);
             report.comparisons.push_back(std::move(created.comparison));
             report.figures.push_back(std::move(created.rate));
         }},
        {"broadcast", with_daemon(broadcast)},
        {"scalability",
         [](Report& report, int pairs) {
             report.comparisons.push_back(scalability(EVFDD_DAEMON, pairs));
         }},
        {"command",
         [](Report& report, int pairs) {
             report.comparisons.push_back(command(EVFDD_DAEMON, EVFDD_CTL, EVFDD_BARE_CALL, pairs));
         }},
        {"footprint",
         [](Report& report, int) {
             for (auto& figure : footprint(EVFDD_DAEMON))
                 report.figures.push_back(std::move(figure));
         }},
    };
}

void raise_descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

Report measure(const std::string& only, int pairs)
{
    raise_descriptor_limit();
    Report report;
    for (const auto& [name, run] : benchmarks())
        if (only.empty() || only == name)
            run(report, pairs);
    return report;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    CLI::App app{"Compares evfdd with the bare kernel, in alternating batches of one run."};
    int pairs = 15;
    bool is_json = false;
    std::string only;
    std::string plot_file;
    std::vector<std::string> names;
    for (const auto& [name, run] : evfd::bench::benchmarks())
        names.push_back(name);
    app.add_option("--pairs", pairs, "Measure this number of pairs for each comparison; at least 9")
        ->check(CLI::Range(evfd::bench::min_pairs, 1000));
    app.add_option("--only", only, "Run only this benchmark")->check(CLI::IsMember(names));
    app.add_flag("--json", is_json, "Print JSON");
    app.add_option("--plot", plot_file, "Write the distribution of the times to this SVG file");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto report = evfd::bench::measure(only, pairs);
        if (!plot_file.empty())
            evfd::e2e::write_file(plot_file, evfd::bench::plot(report));
        fmt::print("{}", is_json ? evfd::bench::json(report)
                                 : evfd::bench::machine() + "\n\n" + evfd::bench::table(report));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench: {}\n", failed.what());
        return 1;
    }
}
