// evfdctl exec: runs a command that inherits descriptors of events and timers.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

namespace evfd::control {

namespace {

// The verb "exec". After a restart of the daemon, the client in this process resumes its session,
// so that the descriptors of the command keep working.
class Exec : public CommandVerb {
public:
    static constexpr auto name = "exec";
    static constexpr auto help = "Run a command that inherits descriptors of events and timers";
    static constexpr auto group = verb_group::commands;

    explicit Exec(CLI::App& app)
        : CommandVerb{app, NameCount::any, CommandNeed::required, "Run COMMAND, after --"}
    {
        app.footer("COMMAND gets the descriptors from 3 on, in the order of the names. LISTEN_FDS, "
                   "LISTEN_PID and "
                   "LISTEN_FDNAMES describe them as in sd_listen_fds(3).");
    }

    bool has_json() const override { return false; }
    Exit run(const Client& client) override
    {
        if (const auto valid = check_arguments(); !valid)
            return report_error(valid.error());
        // Signals are blocked only after this call, so a signal during the call ends evfdctl.
        const auto opened = client.open_each(names());
        if (!opened)
            return report_error(opened.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        Command child{.arguments = command()};
        for (const auto& one : *opened) {
            if (!one->access().wait)
                return report_error(
                    {ErrorCode::refused,
                     fmt::format("you may not wait for '{}', so there is no descriptor for you; "
                                 "ask its owner for the r permission, or set it by evfdctl set",
                                 one->name().text())});
            child.inherited_fds.push_back({one->fd(), std::string{one->name().text()}});
        }
        const auto ended = run_command(child, *signals);
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
