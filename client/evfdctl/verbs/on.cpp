// A command each time: on.
#include "client/core/validation.h"
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/run/child.h"
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

// One that failed is reported, and the next set is as good.
class On : public CommandVerb {
public:
    static constexpr auto name = "on";
    static constexpr auto help = "Run a command each time that an event is set or a timer expires";

    explicit On(CLI::App& app)
        : CommandVerb{app, NameCount::one, CommandNeed::required,
                      "What to run, after --; {} in it and $EVFD_NAME are the name, $EVFD_COUNT "
                      "how many pulses, expirations or merged tokens came, else 1"},
          grace_{app}
    {
        app.add_flag("--once", is_once_, "Only once; ends with the command's exit status");
        app.add_flag("--merge", is_merging_, "Take all tokens of a semaphore that are there");
        auto* restart = app.add_flag(
            "--restart", is_restarting_,
            "If it is set while the command runs: end that, and run it anew; implies --merge");
        grace_.option->needs(restart);
        app.footer("None that comes while the command runs is lost: an auto event or a semaphore "
                   "is taken one by one,\na pulse or a timer counts on for us, and a manual event "
                   "is cleared before the command runs.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_arguments(); !line)
            return report_error(line.error());
        auto followed = to_name(object_name());
        if (!followed)
            return report_error(followed.error());
        const auto grace = grace_.value();
        if (!grace)
            return report_error(grace.error());
        using Tokens = TriggerSource::Tokens;
        TriggerSource following{client, *std::move(followed),
                                is_merging_ || is_restarting_ ? Tokens::all : Tokens::one};
        if (const auto looked = following.identify_if_exists();
            !looked) // Until then a signal ends us.
            return report_error(looked.error());
        const auto signals = TerminationSignals::block();
        if (!signals)
            return report_error(signals.error());
        return run_loop(following, *grace, *signals);
    }

private:
    Exit run_loop(TriggerSource& following, nanoseconds grace,
                  const TerminationSignals& signals) const
    {
        const std::array stop{signals.fd().get()};
        while (true) {
            const auto count = following.next(stop);
            if (!count)
                return report_error(count.error());
            if (const auto number = signals.take_fatal()) {
                if (*count)
                    done_or_report(following.restore(**count));
                finish_and_reraise(*number, following);
            }
            if (!*count)
                continue;
            const auto ended = run_for(**count, following, grace, signals);
            if (!ended)
                return report_error(ended.error());
            if (is_once_) {
                done_or_report(following.finish());
                return exit_like(*ended);
            }
            if (ended->termination_signal)
                finish_and_reraise(*ended->termination_signal, following);
        }
    }

    [[noreturn]] static void finish_and_reraise(int number, TriggerSource& following)
    {
        done_or_report(following.finish());
        TerminationSignals::reraise(number);
    }

    Command command_for(std::int64_t count) const
    {
        Command one{.arguments = command(),
                    .variables = {fmt::format("EVFD_NAME={}", object_name()),
                                  fmt::format("EVFD_COUNT={}", count)},
                    .inherited_fds = {},
                    .leads_group = is_restarting_};
        for (auto& word : one.arguments)
            word = with_name(std::move(word), object_name());
        return one;
    }

    // Until it ends by itself. An error is about what it follows.
    Expected<CommandResult> run_for(std::int64_t count, TriggerSource& following, nanoseconds grace,
                                    const TerminationSignals& signals) const
    {
        while (true) {
            auto child = Child::start(command_for(count), signals);
            if (!child)
                return report_failure(std::move(child.error()));
            const auto more = is_restarting_ ? next_during(*child, following, signals)
                                             : Expected<std::optional<std::int64_t>>{std::nullopt};
            if (!more || !*more) {
                auto ended = report_failure(child->wait());
                return more || ended.termination_signal ? Expected<CommandResult>{std::move(ended)}
                                                        : std::unexpected(more.error());
            }
            count += **more; // What it was run for is not done.
            auto ended = child->terminate(grace);
            if (ended.termination_signal) {
                done_or_report(following.restore(count));
                finish_and_reraise(*ended.termination_signal, following);
            }
        }
    }

    // Nothing once the command has ended, or a signal is to end it.
    static Expected<std::optional<std::int64_t>> next_during(Child& child, TriggerSource& following,
                                                             const TerminationSignals& signals)
    {
        const std::array others{signals.fd().get(), child.fd().get()};
        while (true) {
            auto next = following.next(others);
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
