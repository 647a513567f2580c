// Having something to oneself for a while: hold.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/run/hold_handshake.h"
#include "client/evfdctl/global_options.h"
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

class HoldFor : public CommandVerb {
public:
    static constexpr auto name = "hold";
    static constexpr auto help =
        "Run a command while holding a token of a semaphore, or an auto event as a lock";

    explicit HoldFor(CLI::App& app)
        : CommandVerb{app, Takes::one_name, Runs::always,
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
        if (const auto line = check_line(); !line)
            return complain(line.error());
        const auto timeout = timeout_.chosen();
        if (!timeout)
            return complain(timeout.error());
        return client.address().remote ? run_here(client, *timeout) : run_holder(client, *timeout);
    }

private:
    Command to_run() const
    {
        return {.words = command(), .variables = {fmt::format("EVFD_NAME={}", name_given())}};
    }

    // Where the command's process is not known: we hold it.
    Exit run_here(const Client& client, std::optional<nanoseconds> timeout) const
    {
        auto held = client.hold(name_given(), timeout); // Until it is there, a signal ends us.
        if (!held)
            return complain(held.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        return finish_hold(*held, run_command(to_run(), *signals));
    }

    // The process that becomes the command takes it, and so holds it until it ends; we as well, so
    // that it is back when we end.
    Exit run_holder(const Client& client, std::optional<nanoseconds> timeout) const
    {
        auto handshake = HoldHandshake::make();
        if (!handshake)
            return complain(handshake.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        auto holder = to_run();
        std::optional<Hold> taken; // By the child, in which nothing gives it back.
        holder.first = [&, parent = ::getpid()] {
            taken.emplace(take(client, timeout, *handshake, parent));
        };
        auto child = Child::fork(holder, *signals);
        if (!child)
            return complain_of_start(command().front(), child.error());
        handshake->be_parent();
        const auto id = await_hold(*child, *signals, *handshake);
        if (id.empty())
            return end_as(child->wait()); // It has said why.
        auto held = client.join(id);
        if (!held) {
            handshake->hang_up();
            child->wait();
            return complain(held.error());
        }
        handshake->send("held");
        const auto started = child->await_start();
        return finish_hold(*held, started ? child->wait() : started.error());
    }

    // In the child. As long as it is not the command it ends with us.
    Hold take(const Client& client, std::optional<nanoseconds> timeout, HoldHandshake& handshake,
              pid_t parent) const
    {
        handshake.be_child();
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) // It was too late for that.
            ::_exit(exit_system);
        auto held = client.hold(name_given(), timeout);
        if (!held)
            ::_exit(complain(held.error()));
        handshake.send(held->id());
        if (handshake.receive().empty())
            ::_exit(exit_system);
        ::prctl(PR_SET_PDEATHSIG, 0);
        return *std::move(held);
    }

    static std::string await_hold(Child& child, const StopSignals& signals,
                                  const HoldHandshake& handshake)
    {
        while (true) {
            std::array<pollfd, 2> wanted{
                {{handshake.fd().get(), POLLIN, 0}, {signals.fd().get(), POLLIN, 0}}};
            if (::poll(wanted.data(), wanted.size(), -1) < 0)
                continue;
            child.pass_on_signal();
            if (wanted[0].revents != 0)
                return handshake.receive();
        }
    }

    Exit finish_hold(Hold& held, const Ended& ended) const
    {
        if (!ended.was_started)
            complain_of_start(command().front(), ended);
        if (const auto given_back = held.give_back(); !given_back)
            complain(
                {given_back.error().code, fmt::format("'{}' may not have been held to the end: {}",
                                                      name_given(), given_back.error().message)});
        return end_as(ended);
    }

    TimeoutOption timeout_;
};

} // namespace

void add_holding(Verbs& verbs)
{
    verbs.add<HoldFor>();
}

} // namespace evfd::control
