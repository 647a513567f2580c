#include "tests/bench/peers/shell.h"

#include "tests/bench/peers/servers.h"
#include "tests/paths.h"

namespace evfd::bench {

using e2e::value_or_throw;

std::vector<Comparison> shell(const DaemonSettings& settings, int pairs)
{
    constexpr int runs = 10;
    constexpr int batches = 2;
    const DaemonProcess daemon{settings};
    const StrippedProgram control{EVFDD_CTL};
    (void)value_or_throw(daemon.client().create("db/ready"));
    daemon.recover_if_requested();
    const auto redis = start_redis();
    const e2e::TemporaryDirectory directory;
    const auto fifo_directory = directory / "ftrig";
    const auto run = [](const std::vector<std::string>& argv) {
        e2e::require(e2e::run({.argv = argv}).status == 0, argv.at(1));
    };
    const auto tmux = directory / "tmux";
    run({"/usr/bin/env", "tmux", "-S", tmux, "-f", "/dev/null", "new-session", "-d", "sleep",
         "3600"});
    run({"/usr/bin/env", "s6-mkfifodir", fifo_directory});
    const std::vector<std::pair<std::string, std::vector<std::string>>> peers{
        {"redis-cli SET", {"/usr/bin/redis-cli", "-s", redis.path(), "SET", "db/ready", "1"}},
        {"tmux wait-for -S", {"/usr/bin/tmux", "-S", tmux, "wait-for", "-S", "ready"}},
        {"s6-ftrig-notify", {"/usr/bin/s6-ftrig-notify", fifo_directory, "s"}},
        {"flock FILE true", {"/usr/bin/flock", directory / "lock", "/bin/true"}},
    };
    std::vector<Comparison> all;
    const auto timed_run = [&](std::vector<std::string> argv) {
        return timed(runs, [argv = std::move(argv)] {
            e2e::require(e2e::start({.argv = argv}).wait() == 0, argv.front());
        });
    };
    for (const auto& [name, argv] : peers)
        all.push_back(compare(
            {.work = "evfdctl set, the whole process", .against = name, .goal = 1.0}, pairs,
            batches, timed_run({control.path(), "--socket", daemon.path(), "set", "db/ready"}),
            timed_run(argv)));
    run({"/usr/bin/env", "tmux", "-S", tmux, "kill-server"});
    return all;
}

} // namespace evfd::bench
