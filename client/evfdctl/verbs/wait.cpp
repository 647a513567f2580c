// Waiting: wait.
#include "common/timerfd.h"
#include "client/evfdctl/run/registered_wait.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/command_line.h"
#include "client/evfdctl/output/failure.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

namespace evfd::control {

namespace {

class Wait : public CommandVerb {
public:
    static constexpr auto name = "wait";
    static constexpr auto help =
        "Wait until events are set or timers expire, also for names not there yet";

    explicit Wait(CLI::App& app)
        : CommandVerb{app, Takes::names, Runs::if_given,
                      "What to run once the wait has begun, after --"},
          timeout_{app, "At most so long"}, grace_{app}
    {
        auto* any = app.add_flag("--any", is_any_, "Until one of them is set; prints its name");
        app.add_flag("--all", is_all_, "Until all are set; this is so if nothing is given")
            ->excludes(any);
        app.add_flag("--existing", is_existing_, "Do not wait for names that are not there");
        app.add_option("--count", count_, "For so many expirations, or pulses; 1 if not given")
            ->type_name("N")
            ->check(check_whole);
        app.footer("Nothing that the command sets is missed. If it fails, that ends the wait; if "
                   "the wait fails or times out, the\ncommand is ended.");
    }

    Exit run(const Client& client) override
    {
        if (const auto line = check_line(); !line)
            return complain(line.error());
        const auto timeout = timeout_.chosen();
        if (!timeout)
            return complain(timeout.error());
        const auto grace = grace_.chosen();
        if (!grace)
            return complain(grace.error());
        const WaitOptions options{.gather = is_any_ ? Gather::any : Gather::all,
                                  .timeout = *timeout,
                                  .existing = is_existing_,
                                  .count = count_};
        if (!command().empty())
            return run_armed(client, options, *grace);
        auto fired = ::isatty(STDERR_FILENO) == 1 ? wait_for_person(client, options)
                                                  : client.wait(names(), options);
        if (!fired)
            return complain(fired.error());
        print(*std::move(fired));
        return exit_done;
    }

private:
    using Fired = ArmedWait::Fired;

    // On a terminal a name may have been mistyped: after a second it is said which do not exist.
    Try<Fired> wait_for_person(const Client& client, const WaitOptions& options) const
    {
        auto wait = ArmedWait::begin(client, names(), options);
        if (!wait)
            return std::unexpected(std::move(wait.error()));
        const auto second = make_timerfd(Clock::monotonic);
        if (!second)
            return std::unexpected(Error{ErrorCode::system, second.error().message()});
        const auto set =
            evfd::set(*second, {.first = std::chrono::seconds{1}, .from = TimerSetting::From::now});
        if (!set)
            return std::unexpected(Error{ErrorCode::system, set.error().message()});
        auto fired = wait->next(std::array{second->get()});
        if (fired && !*fired) {
            say_what_is_missing(client);
            fired = wait->next({});
        }
        if (!fired)
            return std::unexpected(std::move(fired.error()));
        return **std::move(fired);
    }

    void say_what_is_missing(const Client& client) const
    {
        for (const auto& one : names()) {
            const auto shown = client.show(one);
            if (!shown && shown.error().code == ErrorCode::no_such_name)
                say(fmt::format("evfdctl: waiting for '{}', which does not exist yet (evfdctl list "
                                "shows what does)\n",
                                one));
        }
    }

    Exit run_armed(const Client& client, const WaitOptions& options, nanoseconds grace) const
    {
        auto wait = ArmedWait::begin(client, names(), options); // Until then a signal ends us.
        if (!wait)
            return complain(wait.error());
        const auto signals = StopSignals::hold();
        if (!signals)
            return complain(signals.error());
        auto child = Child::start({.words = command()}, *signals);
        if (!child)
            return complain_of_start(command().front(), child.error());
        return wait_for_both(*wait, *child, *signals, grace);
    }

    // Whichever fails first is the end of the other.
    Exit wait_for_both(ArmedWait& wait, Child& child, const StopSignals& signals,
                       nanoseconds grace) const
    {
        const std::array others{signals.fd().get(), child.fd().get()};
        while (true) {
            auto fired = wait.next(others);
            if (!fired) {
                const auto ended = child.end(grace);
                const auto exit = complain(fired.error());
                if (ended.stopped_by)
                    StopSignals::die_of(*ended.stopped_by);
                return exit;
            }
            if (*fired) {
                const auto ended = end_of(child);
                print(**std::move(fired));
                return static_cast<Exit>(ended.status);
            }
            if (!child.has_ended())
                child.pass_on_signal();
            if (!child.has_ended() && !child.stopped_by())
                continue;
            if (child.stopped_by())
                wait.call_off(); // Else it could take while the command tidies up.
            const auto ended = end_of(child);
            if (ended.status == 0)
                return wait_on(wait, signals);
            if (auto over_first = wait.call_off())
                print(*std::move(over_first));
            return static_cast<Exit>(ended.status);
        }
    }

    // When the command has done its part.
    Exit wait_on(ArmedWait& wait, const StopSignals& signals) const
    {
        const std::array others{signals.fd().get()};
        while (true) {
            auto fired = wait.next(others);
            if (!fired)
                return complain(fired.error());
            if (*fired) {
                print(**std::move(fired));
                return exit_done;
            }
            const auto number = signals.take_end();
            if (!number)
                continue;
            if (auto over_first = wait.call_off()) {
                print(*std::move(over_first));
                return exit_done;
            }
            StopSignals::die_of(*number);
        }
    }

    static Ended end_of(Child& child)
    {
        auto ended = child.wait();
        if (ended.stopped_by)
            StopSignals::die_of(*ended.stopped_by);
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
    bool is_all_ = false; // What it is anyway.
    bool is_existing_ = false;
    std::int64_t count_ = 1;
};

} // namespace

void add_waiting(Verbs& verbs)
{
    verbs.add<Wait>();
}

} // namespace evfd::control
