// Descriptors passed to a command: exec.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

namespace evfd::control {

namespace {

// The client comes back by itself when the daemon is killed: what it has open goes on following.
class Exec : public CommandVerb {
public:
    static constexpr auto name = "exec";
    static constexpr auto help =
        "Run a command with the descriptors of events and timers, as LISTEN_FDS has them";

    explicit Exec(CLI::App& app)
        : CommandVerb{app, NameCount::any, CommandNeed::required, "What to run, after --"}
    {
        app.footer("It has the descriptors from 3 on, in the order of the names; LISTEN_FDS, "
                   "LISTEN_PID and LISTEN_FDNAMES\ntell of them, as sd_listen_fds(3) has it.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_arguments(); !line)
            return report_error(line.error());
        const auto opened = client.open_each(names()); // Until then a signal ends us.
        if (!opened)
            return report_error(opened.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        Command passed{.arguments = command()};
        for (const auto& one : *opened) {
            if (!one->access().wait)
                return report_error(
                    {ErrorCode::refused,
                     fmt::format("there is no descriptor of '{}' for you, who may not wait for it; "
                                 "ask its owner for the r right, or set it by evfdctl set",
                                 one->name().text())});
            passed.inherited_fds.push_back({one->fd(), one->name().text()});
        }
        const auto ended = run_command(passed, *signals);
        if (!ended.was_started)
            return report_start_failure(command().front(), ended);
        return exit_like(ended);
    }
};

} // namespace

void add_exec(Verbs& verbs)
{
    verbs.add<Exec>();
}

} // namespace evfd::control
