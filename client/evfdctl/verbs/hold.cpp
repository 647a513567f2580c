// evfdctl hold: runs a command while holding a token or a lock.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/run/hold_handshake.h"
#include "client/evfdctl/run/missing_names.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <optional>

namespace evfd::control {

namespace {

class HoldVerb : public CommandVerb {
public:
    static constexpr auto name = "hold";
    static constexpr auto help =
        "Run a command while holding a token of a semaphore, or an auto event as a lock";
    static constexpr auto group = verb_group::commands;

    explicit HoldVerb(CLI::App& app)
        : CommandVerb{app, NameCount::one, CommandNeed::required,
                      "Run COMMAND, after --, with the name in $EVFD_NAME"},
          timeout_{app}
    {
        app.footer("Exits with the command's exit status. The token is released when the command "
                   "and evfdctl have exited, "
                   "however they exit: if only evfdctl is killed, when the command exits. Children "
                   "of the command do not "
                   "hold it. With --host the token is released when evfdctl exits.");
    }

    bool has_json() const override { return false; }
    Exit run(const Client& client) override
    {
        if (const auto valid = check_arguments(); !valid)
            return report_error(valid.error());
        const auto timeout = timeout_.value();
        if (!timeout)
            return report_error(timeout.error());
        return client.address().remote ? run_with_session_hold(client, *timeout)
                                       : run_with_process_hold(client, *timeout);
    }

private:
    Command to_run() const
    {
        return {.arguments = command(), .variables = {fmt::format("EVFD_NAME={}", object_name())}};
    }

    // Runs the command while the session of evfdctl holds the token. A daemon on another machine
    // does not know the command's process, which therefore cannot be the holder.
    Exit run_with_session_hold(const Client& client, std::optional<nanoseconds> timeout) const
    {
        // Signals are blocked only after this call, so a signal during the call ends evfdctl.
        auto hold = client.hold(object_name(), timeout);
        if (!hold)
            return report_error(hold.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        return finish_hold(*hold, run_command(to_run(), *signals));
    }

    // Runs the command while the command's process and evfdctl hold the token. The child process
    // acquires the hold, evfdctl joins the hold, and then the child executes the command. After the
    // command's exit, evfdctl releases the hold for both processes.
    Exit run_with_process_hold(const Client& client, std::optional<nanoseconds> timeout) const
    {
        auto handshake = HoldHandshake::create();
        if (!handshake)
            return report_error(handshake.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        auto holder = to_run();
        // Only the child sets child_hold. The destructor of child_hold would release the hold, but
        // it never runs in the child, because the child executes the command or calls _exit(2).
        std::optional<Hold> child_hold;
        holder.before_exec = [&, parent = ::getpid()] {
            child_hold.emplace(acquire_in_child(client, timeout, *handshake, parent));
        };
        auto child = Child::fork(holder, *signals);
        if (!child)
            return report_start_failure(command().front(), child.error());
        handshake->use_parent_end();
        const auto id = await_hold(client, *child, *signals, *handshake);
        if (id.empty())
            return exit_like(child->wait()); // The child has reported the error.
        auto hold = client.join(id);
        if (!hold) {
            handshake->close();
            child->wait();
            return report_error(hold.error());
        }
        handshake->send("held");
        const auto started = child->await_start();
        return finish_hold(*hold, started ? child->wait() : started.error());
    }

    // Acquires the hold. Called in the child. If evfdctl exits before the child executes the
    // command, the kernel kills the child.
    Hold acquire_in_child(const Client& client, std::optional<nanoseconds> timeout,
                          HoldHandshake& handshake, pid_t parent) const
    {
        handshake.use_child_end();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) // The parent exited before prctl(2).
            ::_exit(exit_system);
        auto hold = client.hold(object_name(), timeout);
        if (!hold)
            ::_exit(report_error(hold.error()));
        handshake.send(hold->id());
        if (handshake.receive().empty())
            ::_exit(exit_system);
        ::prctl(PR_SET_PDEATHSIG, 0);
        return *std::move(hold);
    }

    std::string await_hold(const Client& client, Child& child, const TerminationSignals& signals,
                           const HoldHandshake& handshake) const
    {
        MissingNames missing{*this, names()};
        while (true) {
            std::array<pollfd, 3> polled{{{handshake.fd().get(), POLLIN, 0},
                                          {signals.fd().get(), POLLIN, 0},
                                          {missing.fd(), POLLIN, 0}}};
            if (::poll(polled.data(), polled.size(), -1) < 0)
                continue;
            child.forward_signal();
            missing.report_if_due(client);
            if (polled[0].revents != 0)
                return handshake.receive();
        }
    }

    Exit finish_hold(Hold& hold, const CommandResult& ended) const
    {
        if (!ended.was_started)
            report_start_failure(command().front(), ended);
        if (const auto released = hold.release(); !released)
            report_error(
                {released.error().code, fmt::format("'{}' may not have been held to the end: {}",
                                                    object_name(), released.error().message)});
        return exit_like(ended);
    }

    TimeoutOption timeout_;
};

} // namespace

void add_hold(Verbs& verbs)
{
    verbs.add<HoldVerb>();
}

} // namespace evfd::control
