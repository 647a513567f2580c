// Waiting, and what is done then: wait, on.
#include "client/names.h"
#include "evfdctl/child.h"
#include "evfdctl/following.h"
#include "evfdctl/options.h"
#include "evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Wait : public Verb {
public:
    static constexpr auto name = "wait";
    static constexpr auto help =
        "Wait until events are set or timers expire, also for names not there yet";

    explicit Wait(CLI::App& app) : Verb{app}, names_{app}
    {
        auto* any = app.add_flag("--any", is_any_, "Until one of them is set; prints its name");
        app.add_flag("--all", is_all_, "Until all are set; this is so if nothing is given")
            ->excludes(any);
        app.add_option("--timeout", timeout_, "At most so long: 250us, 1.5s, 2m, 1m30s, or seconds")
            ->type_name("DURATION");
        app.add_flag("--existing", is_existing_, "Do not wait for names that are not there");
        app.add_option("--count", count_, "For so many expirations, or pulses; 1 if not given")
            ->type_name("N")
            ->check(check_whole);
    }

    Exit run(const Client& client) override
    {
        WaitOptions options{.gather = is_any_ ? Gather::any : Gather::all,
                            .timeout = {},
                            .existing = is_existing_,
                            .count = count_};
        if (!timeout_.empty()) {
            const auto timeout = parse_span(timeout_);
            if (!timeout)
                return complain(timeout.error());
            options.timeout = *timeout;
        }
        auto fired = client.wait(names_.list, options);
        if (!fired)
            return complain(fired.error());
        if (is_json()) {
            protocol::Wait::Reply reply{*std::move(fired)};
            print_json(reply);
        } else if (is_any_) {
            fmt::print("{}\n", fired->front().name.text());
        }
        return exit_done;
    }

private:
    Names names_;
    bool is_any_ = false;
    bool is_all_ = false; // What it is anyway.
    std::string timeout_;
    bool is_existing_ = false;
    std::int64_t count_ = 1;
};

// One that failed is reported, and the next set is as good.
class On : public Verb {
public:
    static constexpr auto name = "on";
    static constexpr auto help = "Run a command each time that an event is set or a timer expires";

    explicit On(CLI::App& app) : Verb{app}, name_{app}
    {
        app.add_option("COMMAND", words_,
                       "What to run, after --; $EVFD_NAME is the name, $EVFD_COUNT how many "
                       "pulses or expirations came, else 1")
            ->required()
            ->type_name("");
        app.add_flag("--once", is_once_, "Only once; ends with the command's exit status");
        app.footer("None that comes while the command runs is lost: an auto event or a semaphore "
                   "is taken one by one,\na pulse or a timer counts on for us, and a manual event "
                   "is cleared before the command runs.");
    }

    Exit run(const Client& client) override
    {
        auto followed = to_name(name_.text);
        if (!followed)
            return complain(followed.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        Following following{client, *std::move(followed)};
        while (true) {
            const auto count = following.next(signals->fd());
            if (!count)
                return complain(count.error());
            if (!*count)
                if (const auto signal = signals->take())
                    StopSignals::die_of(signal->number);
            if (!*count)
                continue;
            const auto status = run_for(**count, *signals);
            if (is_once_)
                return static_cast<Exit>(status);
        }
    }

private:
    int run_for(std::int64_t count, const StopSignals& signals) const
    {
        const auto ended = run_command({.words = words_,
                                        .variables = {fmt::format("EVFD_NAME={}", name_.text),
                                                      fmt::format("EVFD_COUNT={}", count)}},
                                       signals);
        if (ended.stopped_by)
            StopSignals::die_of(*ended.stopped_by);
        if (ended.status != 0 && (!is_once_ || !ended.was_started))
            complain({ErrorCode::system,
                      fmt::format("{} for '{}' {}", words_.front(), name_.text, ended.how)});
        return ended.status;
    }

    OneName name_;
    std::vector<std::string> words_;
    bool is_once_ = false;
};

} // namespace

void add_waiting(CLI::App& app, Verbs& verbs)
{
    add<Wait>(app, verbs);
    add<On>(app, verbs);
}

} // namespace evfd::control
