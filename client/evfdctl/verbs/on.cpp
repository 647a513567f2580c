// evfdctl on: runs a command each time that an event is set or a timer expires.
#include "client/core/validation.h"
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/run/missing_names.h"
#include "client/evfdctl/run/trigger_source.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

#include <array>

namespace evfd::control {

namespace {

std::string with_name(std::string word, std::string_view name)
{
    constexpr std::string_view place = "{}";
    for (auto at = word.find(place); at != word.npos; at = word.find(place, at + name.size()))
        word.replace(at, place.size(), name);
    return word;
}

// The verb "on". A command that fails is reported, and evfdctl continues with the next set or
// expiration.
class On : public CommandVerb {
public:
    static constexpr auto name = "on";
    static constexpr auto help = "Run a command each time that an event is set or a timer expires";
    static constexpr auto group = verb_group::commands;

    explicit On(CLI::App& app)
        : CommandVerb{app, NameCount::one, CommandNeed::required,
                      "Run COMMAND, after --. {} in it and $EVFD_NAME are the name; $EVFD_COUNT is "
                      "the number of pulses, expirations or merged tokens, else 1"},
          grace_{app}
    {
        app.add_flag("--once", is_once_, "Run COMMAND only once, and exit with its exit status");
        app.add_flag("--merge", is_merging_, "Consume all available tokens of a semaphore at once");
        auto* restart =
            app.add_flag("--restart", is_restarting_,
                         "Restart a running COMMAND at the next occurrence; implies --merge");
        grace_.option->needs(restart);
        app.footer("No occurrence is lost while COMMAND runs. Auto events and semaphores are "
                   "consumed one at a time; pulses "
                   "and timer expirations are counted; a manual event is cleared before each run.");
    }

    bool has_json() const override { return false; }
    Exit run(const Client& client) override
    {
        if (const auto valid = check_arguments(); !valid)
            return report_error(valid.error());
        auto trigger_name = to_name(object_name());
        if (!trigger_name)
            return report_error(trigger_name.error());
        const auto grace = grace_.value();
        if (!grace)
            return report_error(grace.error());
        using Tokens = TriggerSource::Tokens;
        TriggerSource source{client, *std::move(trigger_name),
                             is_merging_ || is_restarting_ ? Tokens::all : Tokens::one};
        // Signals are blocked only after this call, so a signal during the call ends evfdctl.
        if (const auto identified = source.identify_if_exists(); !identified)
            return report_error(identified.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        return run_loop(client, source, *grace, *signals);
    }

private:
    Exit run_loop(const Client& client, TriggerSource& source, nanoseconds grace,
                  const TerminationSignals& signals) const
    {
        MissingNames missing{*this, names()};
        while (true) {
            const auto count = source.next(std::array{signals.fd().get(), missing.fd()});
            if (!count)
                return report_error(count.error());
            missing.report_if_due(client);
            if (const auto number = signals.take_fatal()) {
                if (*count)
                    done_or_report(source.restore(**count));
                finish_and_reraise(*number, source);
            }
            if (!*count)
                continue;
            const auto ended = run_for(**count, source, grace, signals);
            if (!ended)
                return report_error(ended.error());
            if (is_once_) {
                done_or_report(source.finish());
                return exit_like(*ended);
            }
            if (ended->termination_signal)
                finish_and_reraise(*ended->termination_signal, source);
        }
    }

    [[noreturn]] static void finish_and_reraise(int number, TriggerSource& source)
    {
        done_or_report(source.finish());
        TerminationSignals::reraise(number);
    }

    Command command_for(std::int64_t count) const
    {
        Command result{.arguments = command(),
                       .variables = {fmt::format("EVFD_NAME={}", object_name()),
                                     fmt::format("EVFD_COUNT={}", count)},
                       .inherited_fds = {},
                       .leads_group = is_restarting_};
        for (auto& word : result.arguments)
            word = with_name(std::move(word), object_name());
        return result;
    }

    // Runs the command until it exits by itself. With --restart, restarts the command at each
    // further set or expiration. Fails only if the wait for a further set or expiration fails.
    Expected<CommandResult> run_for(std::int64_t count, TriggerSource& source, nanoseconds grace,
                                    const TerminationSignals& signals) const
    {
        while (true) {
            auto child = Child::start(command_for(count), signals);
            if (!child)
                return report_failure(std::move(child.error()));
            const auto more = is_restarting_ ? next_during(*child, source, signals)
                                             : Expected<std::optional<std::int64_t>>{std::nullopt};
            if (!more || !*more) {
                auto ended = report_failure(child->wait());
                return more || ended.termination_signal ? Expected<CommandResult>{std::move(ended)}
                                                        : std::unexpected(more.error());
            }
            // The next run of the command replaces this unfinished run, so `count` becomes the sum
            // for both runs.
            count += **more;
            auto ended = child->terminate(grace);
            if (ended.termination_signal) {
                done_or_report(source.restore(count));
                finish_and_reraise(*ended.termination_signal, source);
            }
        }
    }

    // Waits for the next set or expiration while the command runs. Returns nothing if the command
    // has exited or a signal asks the command to end.
    static Expected<std::optional<std::int64_t>> next_during(Child& child, TriggerSource& source,
                                                             const TerminationSignals& signals)
    {
        const std::array others{signals.fd().get(), child.fd().get()};
        while (true) {
            auto next = source.next(others);
            if (!next || *next || child.has_exited())
                return next;
            child.forward_signal();
            if (child.termination_signal())
                return std::nullopt;
        }
    }

    CommandResult report_failure(CommandResult ended) const
    {
        if (ended.status != 0 && !ended.termination_signal && (!is_once_ || !ended.was_started))
            report_error({ErrorCode::system, fmt::format("{} for '{}' {}", command().front(),
                                                         object_name(), ended.description)});
        return ended;
    }

    GraceOption grace_;
    bool is_once_ = false;
    bool is_merging_ = false;
    bool is_restarting_ = false;
};

} // namespace

void add_on(Verbs& verbs)
{
    verbs.add<On>();
}

} // namespace evfd::control
