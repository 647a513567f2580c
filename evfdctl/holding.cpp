// Having something to oneself for a while: hold.
#include "evfdctl/command.h"
#include "evfdctl/options.h"
#include "evfdctl/verb.h"

#include <fmt/format.h>

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
        app.footer("Ends with the command's exit status. It is given back however the command or "
                   "this ends,\nalso if they are killed.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_line(); !line)
            return complain(line.error());
        const auto timeout = timeout_.chosen();
        if (!timeout)
            return complain(timeout.error());
        auto held = client.hold(name_given(), *timeout); // Until it is there, a signal ends us.
        if (!held)
            return complain(held.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        return run_with(*held, *signals);
    }

private:
    Exit run_with(Hold& held, const StopSignals& signals) const
    {
        const auto shared = held.share(); // For the command, should we be killed before it ends.
        if (!shared)
            return complain(shared.error());
        const auto ended = run_command(
            {.words = command(), .variables = {fmt::format("EVFD_NAME={}", name_given())}},
            signals);
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
