// evfdd-bench: what evfdd costs against the bare kernel.
#include "tests/bench/lateness.h"
#include "tests/e2e_process.h"
#include "tests/paths.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <exception>

namespace evfd::bench {

namespace {

constexpr int least_pairs = 9;

// A daemon of our own, which goes when the last client and object are gone.
Client start_daemon(const e2e::TemporaryDirectory& directory)
{
    const auto path = directory / "socket";
    const auto ran =
        e2e::run({.words = {EVFDD_DAEMON, "--socket", path, "--background", "--idle-exit", "1s"}});
    e2e::require(ran.status == 0, "cannot start " EVFDD_DAEMON);
    return Client{Address::at(path)};
}

void measure(int pairs, bool is_json)
{
    const e2e::TemporaryDirectory directory;
    const auto client = start_daemon(directory);
    const auto comparison = lateness(client, pairs);
    if (is_json)
        fmt::print("[{}]\n", json(comparison));
    else
        fmt::print("{:<40}  {:<4} {:>12} {:>12} {:>7}\n{}", "work", "", "evfdd", "kernel", "ratio",
                   table(comparison));
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    CLI::App app{"Measures evfdd against the bare kernel, in one run and by turns."};
    int pairs = 15;
    bool is_json = false;
    app.add_option("--pairs", pairs, "How many of each; at least 9")
        ->check(CLI::Range(evfd::bench::least_pairs, 1000));
    app.add_flag("--json", is_json, "Print JSON");
    CLI11_PARSE(app, argc, argv);
    try {
        evfd::bench::measure(pairs, is_json);
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench: {}\n", failed.what());
        return 1;
    }
}
