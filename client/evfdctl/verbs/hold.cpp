// Having something to oneself for a while: hold.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/run/hold_handshake.h"
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

    explicit HoldVerb(CLI::App& app)
        : CommandVerb{app, NameCount::one, CommandNeed::required,
                      "What to run, after --; $EVFD_NAME is the name"},
          timeout_{app, "Wait for it at most so long"}
    {
        app.footer(
            "Ends with the command's exit status. What it took is given back when the command and "
            "evfdctl have\nended, however they end: if only evfdctl is killed, when the command "
            "ends. The command's children\nhold nothing. With --host it is given back when "
            "evfdctl ends.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_arguments(); !line)
            return report_error(line.error());
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

    // Where the command's process is not known: we hold it.
    Exit run_with_session_hold(const Client& client, std::optional<nanoseconds> timeout) const
    {
        auto held = client.hold(object_name(), timeout); // Until it is there, a signal ends us.
        if (!held)
            return report_error(held.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        return finish_hold(*held, run_command(to_run(), *signals));
    }

    // The process that becomes the command takes it, and so holds it until it ends; we as well, so
    // that it is back when we end.
    Exit run_with_process_hold(const Client& client, std::optional<nanoseconds> timeout) const
    {
        auto handshake = HoldHandshake::create();
        if (!handshake)
            return report_error(handshake.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        auto holder = to_run();
        std::optional<Hold> taken; // By the child, in which nothing gives it back.
        holder.before_exec = [&, parent = ::getpid()] {
            taken.emplace(acquire_in_child(client, timeout, *handshake, parent));
        };
        auto child = Child::fork(holder, *signals);
        if (!child)
            return report_start_failure(command().front(), child.error());
        handshake->use_parent_end();
        const auto id = await_hold(*child, *signals, *handshake);
        if (id.empty())
            return exit_like(child->wait()); // It has said why.
        auto held = client.join(id);
        if (!held) {
            handshake->close();
            child->wait();
            return report_error(held.error());
        }
        handshake->send("held");
        const auto started = child->await_start();
        return finish_hold(*held, started ? child->wait() : started.error());
    }

    // In the child. As long as it is not the command it ends with us.
    Hold acquire_in_child(const Client& client, std::optional<nanoseconds> timeout,
                          HoldHandshake& handshake, pid_t parent) const
    {
        handshake.use_child_end();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) // It was too late for that.
            ::_exit(exit_system);
        auto held = client.hold(object_name(), timeout);
        if (!held)
            ::_exit(report_error(held.error()));
        handshake.send(held->id());
        if (handshake.receive().empty())
            ::_exit(exit_system);
        ::prctl(PR_SET_PDEATHSIG, 0);
        return *std::move(held);
    }

    static std::string await_hold(Child& child, const TerminationSignals& signals,
                                  const HoldHandshake& handshake)
    {
        while (true) {
            std::array<pollfd, 2> wanted{
                {{handshake.fd().get(), POLLIN, 0}, {signals.fd().get(), POLLIN, 0}}};
            if (::poll(wanted.data(), wanted.size(), -1) < 0)
                continue;
            child.forward_signal();
            if (wanted[0].revents != 0)
                return handshake.receive();
        }
    }

    Exit finish_hold(Hold& held, const CommandResult& ended) const
    {
        if (!ended.was_started)
            report_start_failure(command().front(), ended);
        if (const auto given_back = held.release(); !given_back)
            report_error(
                {given_back.error().code, fmt::format("'{}' may not have been held to the end: {}",
                                                      object_name(), given_back.error().message)});
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
