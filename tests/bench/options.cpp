#include "tests/bench/options.h"

#include "tests/paths.h"

namespace evfd::bench {

void add_options(CLI::App& app, Options& options)
{
    constexpr int min_pairs = 9;
    app.add_option("--pairs", options.pairs,
                   "Measure this number of pairs for each comparison; at least 9")
        ->check(CLI::Range(min_pairs, 1000));
    app.add_flag("--json", options.is_json, "Print JSON");
    app.add_flag("--after-kill", options.is_after_kill,
                 "Measure a daemon that has recovered the objects after a SIGKILL");
}

DaemonSettings daemon_settings(const Options& options)
{
    return {.program = EVFDD_DAEMON,
            .generation = options.is_after_kill ? Generation::second : Generation::first};
}

Report empty_report(const Options& options)
{
    return {.daemon = options.is_after_kill ? "evfdd after a SIGKILL" : "evfdd"};
}

std::string text(const Report& report, const Options& options)
{
    return options.is_json ? json(report)
                           : report.daemon + ", " + machine() + "\n\n" + table(report);
}

} // namespace evfd::bench
