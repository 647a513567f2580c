// evfdd-bench: what evfdd costs against the bare kernel.
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

// By the name that --only knows it by.
std::vector<std::pair<std::string, Benchmark>> benchmarks()
{
    const auto in_house = [](auto measure) {
        return [measure](Report& report, int pairs) {
            const DaemonProcess house{EVFDD_DAEMON};
            report.comparisons.push_back(measure(house, pairs));
        };
    };
    return {
        {"waking",
         [](Report& report, int pairs) {
             const DaemonProcess house{EVFDD_DAEMON};
             for (auto& comparison : wakeup_latency(house, pairs))
                 report.comparisons.push_back(std::move(comparison));
         }},
        {"lateness", in_house([](const DaemonProcess& house, int pairs) {
             return timer_lateness(house.client(), pairs);
         })},
        {"python", in_house(python_wakeup_latency)},
        {"opening", in_house(open_latency)},
        {"passing", in_house(signal_by_name)},
        {"making",
         [](Report& report, int pairs) {
             const DaemonProcess house{EVFDD_DAEMON};
             auto made = create_throughput(house, pairs);
             report.comparisons.push_back(std::move(made.comparison));
             report.figures.push_back(std::move(made.rate));
         }},
        {"pulsing", in_house(broadcast)},
        {"crowd",
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
    for (const auto& [name, work] : benchmarks())
        if (only.empty() || only == name)
            work(report, pairs);
    return report;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    CLI::App app{"Measures evfdd against the bare kernel, in one run and by turns."};
    int pairs = 15;
    bool is_json = false;
    std::string only;
    std::string picture;
    std::vector<std::string> names;
    for (const auto& [name, work] : evfd::bench::benchmarks())
        names.push_back(name);
    app.add_option("--pairs", pairs, "How many of each; at least 9")
        ->check(CLI::Range(evfd::bench::min_pairs, 1000));
    app.add_option("--only", only, "This work alone")->check(CLI::IsMember(names));
    app.add_flag("--json", is_json, "Print JSON");
    app.add_option("--plot", picture, "Draw how the times are spread into this SVG file");
    CLI11_PARSE(app, argc, argv);
    try {
        const auto report = evfd::bench::measure(only, pairs);
        if (!picture.empty())
            evfd::e2e::write_file(picture, evfd::bench::plot(report));
        fmt::print("{}", is_json ? evfd::bench::json(report)
                                 : evfd::bench::machine() + "\n\n" + evfd::bench::table(report));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench: {}\n", failed.what());
        return 1;
    }
}
