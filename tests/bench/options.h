// The options that evfdd-bench and evfdd-bench-peers have in common.
#pragma once

#include "tests/bench/daemon_process.h"
#include "tests/bench/report.h"

#include <CLI/CLI.hpp>

#include <string>

namespace evfd::bench {

struct Options {
    int pairs;
    bool is_json = false;
    bool is_after_kill = false;
};

void add_options(CLI::App& app, Options& options);
// Returns the settings of the daemon that the options ask for.
DaemonSettings daemon_settings(const Options& options);
// Returns a report without results that names the daemon.
Report empty_report(const Options& options);
// Returns the report as the options ask for it: JSON, or a table below a line about the machine.
std::string text(const Report& report, const Options& options);

} // namespace evfd::bench
