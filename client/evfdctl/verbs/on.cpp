// A command each time: on.
#include "client/core/validation.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/run/trigger_source.h"
#include "client/evfdctl/global_options.h"
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
        : CommandVerb{app, Takes::one_name, Runs::always,
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
        if (const auto line = check_line(); !line)
            return complain(line.error());
        auto followed = to_name(name_given());
        if (!followed)
            return complain(followed.error());
        const auto grace = grace_.chosen();
        if (!grace)
            return complain(grace.error());
        using Tokens = Following::Tokens;
        Following following{client, *std::move(followed),
                            is_merging_ || is_restarting_ ? Tokens::all : Tokens::one};
        if (const auto looked = following.look(); !looked) // Until then a signal ends us.
            return complain(looked.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        return follow(following, *grace, *signals);
    }

private:
    Exit follow(Following& following, nanoseconds grace, const StopSignals& signals) const
    {
        const std::array stop{signals.fd().get()};
        while (true) {
            const auto count = following.next(stop);
            if (!count)
                return complain(count.error());
            if (const auto number = signals.take_end()) {
                if (*count)
                    done_or_complain(following.put_back(**count));
                die_of(*number, following);
            }
            if (!*count)
                continue;
            const auto ended = run_for(**count, following, grace, signals);
            if (!ended)
                return complain(ended.error());
            if (is_once_) {
                done_or_complain(following.end());
                return end_as(*ended);
            }
            if (ended->stopped_by)
                die_of(*ended->stopped_by, following);
        }
    }

    [[noreturn]] static void die_of(int number, Following& following)
    {
        done_or_complain(following.end());
        StopSignals::die_of(number);
    }

    Command command_for(std::int64_t count) const
    {
        Command one{.words = command(),
                    .variables = {fmt::format("EVFD_NAME={}", name_given()),
                                  fmt::format("EVFD_COUNT={}", count)},
                    .passed = {},
                    .leads_group = is_restarting_};
        for (auto& word : one.words)
            word = with_name(std::move(word), name_given());
        return one;
    }

    // Until it ends by itself. An error is about what it follows.
    Try<Ended> run_for(std::int64_t count, Following& following, nanoseconds grace,
                       const StopSignals& signals) const
    {
        while (true) {
            auto child = Child::start(command_for(count), signals);
            if (!child)
                return told(std::move(child.error()));
            const auto more = is_restarting_ ? next_during(*child, following, signals)
                                             : Try<std::optional<std::int64_t>>{std::nullopt};
            if (!more || !*more) {
                auto ended = told(child->wait());
                return more || ended.stopped_by ? Try<Ended>{std::move(ended)}
                                                : std::unexpected(more.error());
            }
            count += **more; // What it was run for is not done.
            auto ended = child->end(grace);
            if (ended.stopped_by) {
                done_or_complain(following.put_back(count));
                die_of(*ended.stopped_by, following);
            }
        }
    }

    // Nothing once the command has ended, or a signal is to end it.
    static Try<std::optional<std::int64_t>> next_during(Child& child, Following& following,
                                                        const StopSignals& signals)
    {
        const std::array others{signals.fd().get(), child.fd().get()};
        while (true) {
            auto next = following.next(others);
            if (!next || *next || child.has_ended())
                return next;
            child.pass_on_signal();
            if (child.stopped_by())
                return std::nullopt;
        }
    }

    Ended told(Ended ended) const
    {
        if (ended.status != 0 && !ended.stopped_by && (!is_once_ || !ended.was_started))
            complain({ErrorCode::system,
                      fmt::format("{} for '{}' {}", command().front(), name_given(), ended.how)});
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
