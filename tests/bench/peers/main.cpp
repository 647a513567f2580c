// evfdd-bench-peers: compares the speed of evfdd with the speed of alternative programs.
#include "tests/bench/options.h"
#include "tests/bench/peers/calls_by_name.h"
#include "tests/bench/peers/descriptors.h"
#include "tests/bench/peers/many_clients.h"
#include "tests/bench/peers/shell.h"
#include "tests/bench/report.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <exception>
#include <iterator>

namespace evfd::bench {

namespace {

template <class Result>
void append(std::vector<Result>& all, std::vector<Result> more)
{
    std::ranges::move(more, std::back_inserter(all));
}

Report measure(const Options& options)
{
    const auto settings = daemon_settings(options);
    auto report = empty_report(options);
    auto many = many_clients(settings, options.pairs);
    report.comparisons = std::move(many.comparisons);
    report.figures = std::move(many.rates);
    for (const auto benchmark : {fdholder, blpop, set_and_get, publish, semaphore, fifo})
        report.comparisons.push_back(benchmark(settings, options.pairs));
    for (const auto benchmark : {dbus_daemon, dbus_broker, shell})
        append(report.comparisons, benchmark(settings, options.pairs));
    return report;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    using namespace evfd::bench;
    CLI::App app{"Compares evfdd with its alternatives, in alternating batches of one run."};
    Options options{.pairs = 9};
    add_options(app, options);
    CLI11_PARSE(app, argc, argv);
    try {
        fmt::print("{}", text(measure(options), options));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench-peers: {}\n", failed.what());
        return 1;
    }
}
