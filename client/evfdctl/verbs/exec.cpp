// Descriptors passed to a command: exec.
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/command_line.h"
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
        : CommandVerb{app, Takes::names, Runs::always, "What to run, after --"}
    {
        app.footer("It has the descriptors from 3 on, in the order of the names; LISTEN_FDS, "
                   "LISTEN_PID and LISTEN_FDNAMES\ntell of them, as sd_listen_fds(3) has it.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_line(); !line)
            return complain(line.error());
        const auto opened = client.open_each(names()); // Until then a signal ends us.
        if (!opened)
            return complain(opened.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        Command passed{.words = command()};
        for (const auto& one : *opened) {
            if (!one->access().wait)
                return complain(
                    {ErrorCode::refused,
                     fmt::format("there is no descriptor of '{}' for you, who may not wait for it; "
                                 "ask its owner for the r right, or set it by evfdctl set",
                                 one->name().text())});
            passed.passed.push_back({one->fd(), one->name().text()});
        }
        const auto ended = run_command(passed, *signals);
        if (!ended.was_started)
            return complain_of_start(command().front(), ended);
        return end_as(ended);
    }
};

} // namespace

void add_passing(Verbs& verbs)
{
    verbs.add<Exec>();
}

} // namespace evfd::control
