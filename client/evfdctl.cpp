// evfdctl: named events and timers from the shell. A verb is a class: its options, and what it
// does.
#include "client/address.h"
#include "client/child.h"
#include "client/evfd/client.h"
#include "client/following.h"
#include "client/moment.h"
#include "client/names.h"
#include "client/report.h"
#include "common/clock.h"
#include "common/rights.h"
#include "common/words.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace evfd {

namespace {

enum Exit : int {
    exit_done = 0,
    exit_no = 1,
    exit_usage = 2,
    exit_no_such_name = 3,
    exit_refused = 4,
    exit_no_daemon = 5,
    exit_deleted = 6,
    exit_name_taken = 7,
    exit_system = 8,
    exit_cancelled = 9,
    exit_timed_out = 124,
};

constexpr auto exit_statuses = "Exit status: 0 done; 1 \"no\" (is-set); 2 usage; 3 no such name; "
                               "4 refused (rights, limit);\n5 no daemon; 6 deleted while waiting; "
                               "7 the name is taken or is of another kind; 8 the system failed;\n"
                               "9 cancelled while waiting: the wall clock was set; 124 timed out.";

Exit exit_for(ErrorCode code)
{
    switch (code) {
    case ErrorCode::invalid: return exit_usage;
    case ErrorCode::no_such_name: return exit_no_such_name;
    case ErrorCode::name_taken: return exit_name_taken;
    case ErrorCode::refused: return exit_refused;
    case ErrorCode::deleted: return exit_deleted;
    case ErrorCode::cancelled: return exit_cancelled;
    case ErrorCode::timed_out: return exit_timed_out;
    case ErrorCode::no_daemon:
    case ErrorCode::interrupted: return exit_no_daemon;
    case ErrorCode::system: return exit_system;
    }
    std::abort();
}

// One line, whatever was typed: a message may quote it.
Exit complain(const Error& error)
{
    auto line = error.message;
    std::ranges::replace_if(line, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, '?');
    fmt::print(stderr, "evfdctl: {}\n", line);
    return exit_for(error.code);
}

template <class T>
Exit done_or_complain(const Try<T>& tried)
{
    return tried ? exit_done : complain(tried.error());
}

Error usage(std::string message)
{
    return {ErrorCode::invalid, std::move(message)};
}

// Options that several verbs have.

struct Names {
    std::vector<std::string> list;

    explicit Names(CLI::App& verb)
    {
        verb.add_option("NAME", list, "Name of an object")->required()->type_name("");
    }
};

struct OneName {
    std::string text;

    explicit OneName(CLI::App& verb)
    {
        verb.add_option("NAME", text, "Name of an object")->required()->type_name("");
    }
};

struct PatternOption {
    std::string text;

    explicit PatternOption(CLI::App& verb)
    {
        verb.add_option("PATTERN", text,
                        "Only names that this glob matches; * and ? stop at a slash")
            ->type_name("");
    }
};

Try<Rights> parse_rights(const std::string& text)
{
    if (const auto rights = Rights::parse(text))
        return *rights;
    return std::unexpected(usage(fmt::format(
        "'{}' are no rights: give r and w for owner, group and others in octal, such as 0640",
        text)));
}

Try<nanoseconds> parse_span(const std::string& text)
{
    if (const auto span = parse_duration(text))
        return *span;
    return std::unexpected(usage(
        fmt::format("'{}' is no duration: give 250us, 1.5s, 2m, 1m30s, or plain seconds", text)));
}

std::vector<std::string> clocks()
{
    std::vector<std::string> names;
    for (const auto& [clock, text] : words(Clock{}))
        names.push_back(report::dashed(text));
    return names;
}

std::optional<Clock> parse_clock(std::string_view text)
{
    for (const auto& [clock, word] : words(Clock{}))
        if (report::dashed(word) == text)
            return clock;
    return {};
}

// CLI11 takes what is beyond 63 bits for the last number within.
std::string check_whole(const std::string& text)
{
    std::int64_t value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_whole = error == std::errc{} && rest == text.data() + text.size();
    return is_whole ? "" : fmt::format("'{}' is no whole number within 63 bits", text);
}

// For an object that is made.
struct NewObject {
    std::string rights;
    bool is_bound = false;

    NewObject(CLI::App& verb, const std::string& what_w_means)
    {
        verb.add_option("--rights", rights,
                        fmt::format("Who may wait (r) and {} (w), such as 0640; 0666 less the "
                                    "umask if not given",
                                    what_w_means))
            ->type_name("MODE");
        verb.add_flag("--connection", is_bound,
                      "Delete it when the connection closes, that is when this command ends");
    }
    Try<std::optional<Rights>> chosen_rights() const
    {
        if (rights.empty())
            return std::nullopt;
        return parse_rights(rights);
    }
    Lifetime lifetime() const { return is_bound ? Lifetime::connection : Lifetime::permanent; }
};

// The verbs.

class Verb {
public:
    explicit Verb(CLI::App& app) : app_{app}
    {
        app.add_flag("--json", is_json_, "Print JSON, a line a message");
    }
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    bool is_wanted() const { return app_.parsed(); }
    virtual Exit run(const Client& client) = 0;

protected:
    bool is_json() const { return is_json_; }
    template <Message T>
    void print_json(T& message) const
    {
        fmt::print("{}\n", report::json(message));
    }
    // For a call that answers nothing.
    Exit finish(const Try<void>& done) const
    {
        protocol::Nothing nothing;
        if (done && is_json_)
            print_json(nothing);
        return done_or_complain(done);
    }

private:
    CLI::App& app_;
    bool is_json_ = false;
};

class Create : public Verb {
public:
    static constexpr auto name = "create";
    static constexpr auto help = "Make an event";

    explicit Create(CLI::App& app) : Verb{app}, name_{app}, new_{app, "set"}
    {
        std::vector<std::string> modes;
        for (const auto& [mode, text] : words(Mode{}))
            modes.emplace_back(text);
        app.add_option("--mode", mode_, "What a wait does to it: manual, auto, semaphore or pulse")
            ->type_name("MODE")
            ->check(CLI::IsMember(modes));
        app.add_option("--initial", initial_, "Tokens to start with; more than 0 is set")
            ->type_name("N")
            ->check(check_whole);
        app.add_flag("--if-missing", if_missing_, "Be content with one that is there already");
    }

    Exit run(const Client& client) override
    {
        const auto rights = new_.chosen_rights();
        if (!rights)
            return complain(rights.error());
        const CreateOptions options{.mode = from_word<Mode>(mode_).value_or(Mode::manual),
                                    .initial = initial_,
                                    .rights = *rights,
                                    .lifetime = new_.lifetime(),
                                    .if_missing = if_missing_};
        const auto created = client.create(name_.text, options);
        if (created && is_json()) {
            protocol::CreateEvent::Reply reply{*created};
            print_json(reply);
        }
        return done_or_complain(created);
    }

private:
    OneName name_;
    NewObject new_;
    std::string mode_;
    std::int64_t initial_ = 0;
    bool if_missing_ = false;
};

class Arm : public Verb {
public:
    static constexpr auto name = "arm";
    static constexpr auto help = "Arm a timer, which is made if it is missing";

    explicit Arm(CLI::App& app) : Verb{app}, name_{app}, new_{app, "arm"}
    {
        auto* in =
            app.add_option("--in", in_, "First after so long: 250us, 1.5s, 1m30s, or seconds")
                ->type_name("DURATION");
        app.add_option("--at", at_,
                       "First at that time: RFC 3339, @SECONDS, or HH:MM[:SS], the next one")
            ->type_name("TIME")
            ->excludes(in);
        app.add_option("--every", every_, "Then after each so long; alone, first after one")
            ->type_name("DURATION");
        app.add_option("--clock", clock_,
                       "What it goes by; the alarm clocks wake the machine from suspend")
            ->type_name("CLOCK")
            ->check(CLI::IsMember(clocks()));
        app.add_option("--sets", sets_, "The event that is set at each expiry")->type_name("EVENT");
        app.add_flag("--cancel-on-clock-change", cancels_,
                     "Disarm it when the wall clock is set; with --at");
    }

    Exit run(const Client& client) override
    {
        const auto schedule = this->schedule();
        if (!schedule)
            return complain(schedule.error());
        const auto rights = new_.chosen_rights();
        if (!rights)
            return complain(rights.error());
        const auto created = client.arm(name_.text, *schedule, {*rights, new_.lifetime()});
        if (created && is_json()) {
            protocol::Arm::Reply reply{*created};
            print_json(reply);
        }
        return done_or_complain(created);
    }

private:
    Try<Schedule> schedule() const
    {
        Schedule schedule{
            .clock = parse_clock(clock_), .cancel_on_clock_change = cancels_, .sets = sets_};
        if (!in_.empty()) {
            const auto after = parse_span(in_);
            if (!after)
                return std::unexpected(after.error());
            schedule.after = *after;
        }
        if (!every_.empty()) {
            const auto interval = parse_span(every_);
            if (!interval)
                return std::unexpected(interval.error());
            schedule.interval = *interval;
        }
        if (at_.empty())
            return schedule;
        const auto moment = parse_moment(at_, wall_now());
        if (!moment)
            return std::unexpected(usage(fmt::format(
                "'{}' is no time: give 2026-01-31T08:30:00Z, @SECONDS since the clock's zero, or "
                "08:30, from 1970 to 2262",
                at_)));
        if (schedule.clock && !is_wall_clock(*schedule.clock) && !moment->is_of_any_clock)
            return std::unexpected(usage(fmt::format(
                "the clock {} knows no time of day; give @SECONDS since its zero", clock_)));
        schedule.at = moment->since_zero;
        schedule.clock = schedule.clock.value_or(Clock::realtime);
        return schedule;
    }

    OneName name_;
    NewObject new_;
    std::string in_;
    std::string at_;
    std::string every_;
    std::string clock_;
    std::string sets_;
    bool cancels_ = false;
};

class Disarm : public Verb {
public:
    static constexpr auto name = "disarm";
    static constexpr auto help = "Disarm timers, for everybody who has them open";

    explicit Disarm(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.disarm(names_.list)); }

private:
    Names names_;
};

class Set : public Verb {
public:
    static constexpr auto name = "set";
    static constexpr auto help = "Set events, or add tokens, or pulse";

    explicit Set(CLI::App& app) : Verb{app}, names_{app}
    {
        app.add_option("--count", count_, "How many tokens or pulses; 1 if not given")
            ->type_name("N")
            ->check(check_whole);
    }
    Exit run(const Client& client) override { return finish(client.set(names_.list, count_)); }

private:
    Names names_;
    std::int64_t count_ = 1;
};

class Clear : public Verb {
public:
    static constexpr auto name = "clear";
    static constexpr auto help = "Clear events: no longer set, no token left";

    explicit Clear(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.clear(names_.list)); }

private:
    Names names_;
};

class Delete : public Verb {
public:
    static constexpr auto name = "delete";
    static constexpr auto help = "Delete objects";

    explicit Delete(CLI::App& app) : Verb{app}, names_{app} {}
    Exit run(const Client& client) override { return finish(client.remove(names_.list)); }

private:
    Names names_;
};

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
        const auto ended = run_command(
            words_, {fmt::format("EVFD_NAME={}", name_.text), fmt::format("EVFD_COUNT={}", count)},
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

class IsSet : public Verb {
public:
    static constexpr auto name = "is-set";
    static constexpr auto help = "Tell by the exit status whether a wait would end at once";

    explicit IsSet(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return complain(object.error());
        if (!object->is_set)
            return complain(
                {ErrorCode::refused,
                 fmt::format("you may not wait for '{}'; ask its owner for the r right, "
                             "or the administrator if the policy is against it",
                             name_.text)});
        if (is_json())
            fmt::print("{{\"isSet\":{}}}\n", *object->is_set);
        return *object->is_set ? exit_done : exit_no;
    }

private:
    OneName name_;
};

class Show : public Verb {
public:
    static constexpr auto name = "show";
    static constexpr auto help = "Show what an object is and what state it is in";

    explicit Show(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return complain(object.error());
        if (is_json())
            print_json(*object);
        else
            fmt::print("{}", report::show(*object));
        return exit_done;
    }

private:
    OneName name_;
};

bool is_for_terminal()
{
    return ::isatty(STDOUT_FILENO) == 1;
}

class List : public Verb {
public:
    static constexpr auto name = "list";
    static constexpr auto help = "List objects";

    explicit List(CLI::App& app) : Verb{app}, pattern_{app} {}

    Exit run(const Client& client) override
    {
        report::Table table{report::object_heading(), is_for_terminal()};
        const auto listed = client.list(pattern_.text, [&](protocol::Object& object) {
            if (is_json())
                print_json(object);
            else
                fmt::print("{}", table.add(report::row(object)));
        });
        fmt::print("{}", table.end());
        return done_or_complain(listed);
    }

private:
    PatternOption pattern_;
};

class RightsOf : public Verb {
public:
    static constexpr auto name = "rights";
    static constexpr auto help = "Change who may wait for an object and who may set it";

    explicit RightsOf(CLI::App& app) : Verb{app}, name_{app}
    {
        app.add_option("RIGHTS", rights_, "r and w for owner, group, others, such as 0640")
            ->required()
            ->type_name("");
    }

    Exit run(const Client& client) override
    {
        const auto rights = parse_rights(rights_);
        if (!rights)
            return complain(rights.error());
        return finish(client.set_rights(name_.text, *rights));
    }

private:
    OneName name_;
    std::string rights_;
};

class MonitorAll : public Verb {
public:
    static constexpr auto name = "monitor";
    static constexpr auto help = "Print the state of all objects and then every change";

    explicit MonitorAll(CLI::App& app) : Verb{app}, pattern_{app} {}

    Exit run(const Client& client) override
    {
        // A daemon that was killed tells the state anew.
        auto give_up = monotonic_after(patience);
        while (true) {
            bool was_told = false;
            const auto ended = client.monitor(pattern_.text, [&](protocol::Monitor::Reply& news) {
                was_told = true;
                if (is_json())
                    print_json(news);
                else
                    fmt::print("{}", report::change(news));
                return std::fflush(stdout) == 0;
            });
            if (was_told)
                give_up = monotonic_after(patience);
            if (ended || ended.error().code != ErrorCode::interrupted || monotonic_now() > give_up)
                return done_or_complain(ended);
        }
    }

private:
    // With a daemon that goes as soon as it is asked.
    static constexpr nanoseconds patience = std::chrono::seconds{10};

    PatternOption pattern_;
};

class Status : public Verb {
public:
    static constexpr auto name = "status";
    static constexpr auto help = "Show how the daemon is";

    explicit Status(CLI::App& app) : Verb{app}
    {
        app.add_flag("--quotas", wants_quotas_,
                     "Instead, what each user has and may have; root sees all users");
    }

    Exit run(const Client& client) override
    {
        return wants_quotas_ ? show_quotas(client) : show(client);
    }

private:
    Exit show(const Client& client)
    {
        auto status = client.status();
        if (!status)
            return complain(status.error());
        if (is_json())
            print_json(*status);
        else
            fmt::print("{}", report::status(*status));
        return exit_done;
    }

    Exit show_quotas(const Client& client)
    {
        report::Table table{report::quota_heading(), is_for_terminal()};
        const auto told = client.quotas([&](protocol::Quotas::User& user) {
            if (is_json()) {
                print_json(user);
                return;
            }
            for (auto& row : report::rows(user))
                fmt::print("{}", table.add(std::move(row)));
        });
        fmt::print("{}", table.end());
        return done_or_complain(told);
    }

    bool wants_quotas_ = false;
};

class Metrics : public Verb {
public:
    static constexpr auto name = "metrics";
    static constexpr auto help = "Print what the daemon counted, as OpenMetrics text";

    explicit Metrics(CLI::App& app) : Verb{app} {}

    Exit run(const Client& client) override
    {
        auto metrics = client.metrics();
        if (!metrics)
            return complain(metrics.error());
        if (is_json())
            print_json(*metrics);
        else
            fmt::print("{}", metrics->text);
        return exit_done;
    }
};

template <class V>
void add(CLI::App& app, std::vector<std::unique_ptr<Verb>>& verbs)
{
    auto* command = app.add_subcommand(V::name, V::help);
    command->fallthrough();
    verbs.push_back(std::make_unique<V>(*command));
}

Try<Address> address_of(const std::string& socket, bool is_system, bool is_user)
{
    if (!socket.empty())
        return Address::at(socket);
    if (const char* path = std::getenv("EVFDD_SOCKET"); path && *path)
        return Address::at(path);
    if (is_system)
        return Address::system();
    return is_user ? Address::user() : Address::usual();
}

// What cannot be printed was not told, so it is not done.
Exit run_and_flush(Verb& verb, const Client& client)
{
    const auto cannot_print = [](int error) {
        return complain(
            {ErrorCode::system, fmt::format("cannot print: {}; see where the output goes",
                                            std::generic_category().message(error))});
    };
    try {
        const auto exit = verb.run(client);
        return std::fflush(stdout) == 0 ? exit : cannot_print(errno);
    } catch (const std::system_error& failed) { // Of fmt::print().
        return cannot_print(failed.code().value());
    }
}

int run(int argc, char** argv)
{
    CLI::App app{"Named events and timers: made, set, armed and waited for by name."};
    app.footer(exit_statuses);
    app.set_version_flag("--version", std::string{"evfdctl "} + EVFDD_VERSION);
    app.require_subcommand(1);
    std::string socket;
    bool is_system = false;
    bool is_user = false;
    app.add_option("--socket", socket, "The daemon that listens there; else $EVFDD_SOCKET counts")
        ->type_name("PATH");
    auto* system = app.add_flag("--system", is_system, "The machine's daemon");
    app.add_flag("--user", is_user, "Your own daemon, started when it is not there")
        ->excludes(system);

    std::vector<std::unique_ptr<Verb>> verbs;
    add<Create>(app, verbs);
    add<Arm>(app, verbs);
    add<Disarm>(app, verbs);
    add<Set>(app, verbs);
    add<Clear>(app, verbs);
    add<Delete>(app, verbs);
    add<Wait>(app, verbs);
    add<On>(app, verbs);
    add<IsSet>(app, verbs);
    add<Show>(app, verbs);
    add<List>(app, verbs);
    add<RightsOf>(app, verbs);
    add<MonitorAll>(app, verbs);
    add<Status>(app, verbs);
    add<Metrics>(app, verbs);

    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp& help) {
        return app.exit(help);
    } catch (const CLI::CallForVersion& version) {
        return app.exit(version);
    } catch (const CLI::RequiredError&) {
        if (app.get_subcommands().empty())
            return complain(usage("there is no such verb, or none was given; see evfdctl --help"));
        return complain(usage("something is missing; see evfdctl VERB --help"));
    } catch (const CLI::ParseError& error) {
        return complain(usage(fmt::format("{}; see evfdctl --help", error.what())));
    }

    const auto address = address_of(socket, is_system, is_user);
    if (!address)
        return complain(address.error());
    const Client client{*address};
    for (const auto& verb : verbs)
        if (verb->is_wanted())
            return run_and_flush(*verb, client);
    return exit_usage;
}

} // namespace

} // namespace evfd

int main(int argc, char** argv)
{
    return evfd::run(argc, argv);
}
