// evfdctl wait: waits for events and timers, by name.
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/run/missing_names.h"
#include "client/evfdctl/run/registered_wait.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace evfd::control {

namespace {

class Wait : public CommandVerb {
public:
    static constexpr auto name = "wait";
    static constexpr auto help =
        "Wait until events are set or timers expire; the names need not exist yet";
    static constexpr auto group = verb_group::signalling;

    explicit Wait(CLI::App& app)
        : CommandVerb{app, NameCount::any, CommandNeed::optional,
                      "Run COMMAND, after --, once the wait has begun"},
          timeout_{app}, grace_{app}
    {
        auto* any =
            app.add_flag("--any", is_any_, "Wait for any of the names, and print that name");
        app.add_flag("--all", is_all_, "Wait for all of the names (default)")->excludes(any);
        app.add_flag("--existing", is_existing_, "Fail if a name does not exist");
        app.add_option("--count", count_, "Wait for N expirations or pulses (default: 1)")
            ->type_name("N")
            ->check(check_integer);
        app.footer("A set by COMMAND is never missed. A failure of COMMAND ends the wait. If the "
                   "wait fails or times out, COMMAND is terminated.");
    }

    Exit run(const Client& client) override
    {
        if (const auto valid = check_arguments(); !valid)
            return report_error(valid.error());
        const auto timeout = timeout_.value();
        if (!timeout)
            return report_error(timeout.error());
        const auto grace = grace_.value();
        if (!grace)
            return report_error(grace.error());
        const WaitOptions options{.require = is_any_ ? Require::any : Require::all,
                                  .timeout = *timeout,
                                  .existing = is_existing_,
                                  .count = count_};
        if (!command().empty())
            return run_registered(client, options, *grace);
        const bool is_for_person = !is_quiet() && ::isatty(STDERR_FILENO) == 1;
        auto fired =
            is_for_person ? wait_for_person(client, options) : client.wait(names(), options);
        if (!fired)
            return report_wait_error(std::move(fired.error()));
        print(*std::move(fired));
        return exit_done;
    }

private:
    using Fired = RegisteredWait::Fired;

    // Prints the error. If the daemon refused a --count above 1, explains that a wait for a
    // semaphore can consume only one token.
    Exit report_wait_error(Error error) const
    {
        if (error.code == ErrorCode::invalid && count_ > 1)
            error.message = "a wait cannot consume several tokens of a semaphore at once; wait "
                            "once for each";
        return report_error(error);
    }

    // Waits like client.wait(), and says which names do not exist.
    Expected<Fired> wait_for_person(const Client& client, const WaitOptions& options) const
    {
        auto wait = RegisteredWait::begin(client, names(), options);
        if (!wait)
            return std::unexpected(std::move(wait.error()));
        MissingNames missing{*this, names()};
        while (true) {
            auto fired = wait->next(std::array{missing.fd()});
            if (!fired)
                return std::unexpected(std::move(fired.error()));
            if (*fired)
                return **std::move(fired);
            missing.report_if_due(client);
        }
    }

    Exit run_registered(const Client& client, const WaitOptions& options, nanoseconds grace) const
    {
        // Signals are blocked only after this call, so a signal during the call ends evfdctl.
        auto wait = RegisteredWait::begin(client, names(), options);
        if (!wait)
            return report_wait_error(std::move(wait.error()));
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        auto child = Child::start({.arguments = command()}, *signals);
        if (!child)
            return report_start_failure(command().front(), child.error());
        return wait_for_both(*wait, *child, *signals, grace);
    }

    // Returns after the command has exited and `wait` is complete. If `wait` fails, terminates the
    // command. If the command fails, cancels `wait`.
    Exit wait_for_both(RegisteredWait& wait, Child& child, const TerminationSignals& signals,
                       nanoseconds grace) const
    {
        const std::array others{signals.fd().get(), child.fd().get()};
        while (true) {
            auto fired = wait.next(others);
            if (!fired) {
                const auto ended = child.terminate(grace);
                const auto exit = report_wait_error(std::move(fired.error()));
                if (ended.termination_signal)
                    TerminationSignals::reraise(*ended.termination_signal);
                return exit;
            }
            if (*fired) {
                const auto ended = await_command(child);
                print(**std::move(fired));
                return static_cast<Exit>(ended.status);
            }
            if (!child.has_exited())
                child.forward_signal();
            if (!child.has_exited() && !child.termination_signal())
                continue;
            if (child.termination_signal())
                // Prevents the wait from consuming a token while the command shuts down.
                wait.cancel();
            const auto ended = await_command(child);
            if (ended.status == 0)
                return finish_wait(wait, signals);
            if (auto early = wait.cancel())
                print(*std::move(early));
            return static_cast<Exit>(ended.status);
        }
    }

    // Returns after `wait` is complete. Called after the command has succeeded.
    Exit finish_wait(RegisteredWait& wait, const TerminationSignals& signals) const
    {
        const std::array others{signals.fd().get()};
        while (true) {
            auto fired = wait.next(others);
            if (!fired)
                return report_wait_error(std::move(fired.error()));
            if (*fired) {
                print(**std::move(fired));
                return exit_done;
            }
            const auto number = signals.take_fatal();
            if (!number)
                continue;
            if (auto early = wait.cancel()) {
                print(*std::move(early));
                return exit_done;
            }
            TerminationSignals::reraise(*number);
        }
    }

    static CommandResult await_command(Child& child)
    {
        auto ended = child.wait();
        if (ended.termination_signal)
            TerminationSignals::reraise(*ended.termination_signal);
        return ended;
    }

    void print(Fired fired) const
    {
        if (is_json()) {
            protocol::Wait::Reply reply{std::move(fired)};
            print_json(reply);
        } else if (is_any_) {
            fmt::print("{}\n", fired.front().name.text());
        }
    }

    TimeoutOption timeout_;
    GraceOption grace_;
    bool is_any_ = false;
    // Stores the flag --all. The value is never read, because evfdctl waits for all names by
    // default.
    bool is_all_ = false;
    bool is_existing_ = false;
    std::int64_t count_ = 1;
};

} // namespace

void add_wait(Verbs& verbs)
{
    verbs.add<Wait>();
}

} // namespace evfd::control
