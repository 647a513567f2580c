// evfdctl arm: arms a timer.
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/local_time.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>

namespace evfd::control {

namespace {

class Arm : public Verb {
public:
    static constexpr auto name = "arm";
    static constexpr auto help = "Arm a timer, and create it if it does not exist";
    static constexpr auto group = verb_group::signalling;

    explicit Arm(CLI::App& app) : Verb{app}, name_{app}, new_{app, "arm"}
    {
        auto* after = app.add_option("--after", after_,
                                     "Expire first after DURATION: 250us, 1.5s, 1m30s, or seconds")
                          ->type_name("DURATION")
                          ->check(check_not_empty);
        auto* in = app.add_option("--in", after_, "Expire first after DURATION, as --after")
                       ->type_name("DURATION")
                       ->check(check_not_empty)
                       ->excludes(after);
        app.add_option("--at", at_,
                       "Expire first at TIME: RFC 3339, @SECONDS, or the next HH:MM[:SS]")
            ->type_name("TIME")
            ->check(check_not_empty)
            ->excludes(after)
            ->excludes(in);
        app.add_option(
               "--every", every_,
               "Expire again after each DURATION; without --in and --at also for the first time")
            ->type_name("DURATION")
            ->check(check_not_empty);
        app.add_option("--clock", clock_,
                       "Use CLOCK; the alarm clocks wake the machine from suspend")
            ->type_name("CLOCK")
            ->check(OneOf(clock_names()));
        app.add_option("--sets", sets_, "Set EVENT at each expiry")
            ->type_name("EVENT")
            ->check(check_not_empty);
        app.add_flag("--cancel-on-clock-change", cancels_,
                     "Disarm the timer when the wall clock is set; requires --at");
    }

    Exit run(const Client& client) override
    {
        const auto schedule = this->schedule();
        if (!schedule)
            return report_error(schedule.error());
        const auto permissions = new_.permissions();
        if (!permissions)
            return report_error(permissions.error());
        const auto created = client.arm(name_.text, *schedule, {*permissions, new_.lifetime()});
        if (created && is_json()) {
            protocol::Arm::Reply reply{created->created, {created->id}};
            print_json(reply);
        }
        return done_or_report(created);
    }

private:
    Expected<Schedule> schedule() const
    {
        Schedule schedule{
            .clock = parse_clock(clock_), .cancel_on_clock_change = cancels_, .sets = sets_};
        if (after_.empty() && at_.empty() && every_.empty())
            return std::unexpected(usage_error(fmt::format(
                "'{}' has no time to expire at; give --after, --at or --every", name_.text)));
        if (!after_.empty()) {
            const auto after = parse_duration_argument(after_);
            if (!after)
                return std::unexpected(after.error());
            schedule.after = *after;
        }
        if (!every_.empty()) {
            const auto interval = parse_duration_argument(every_);
            if (!interval)
                return std::unexpected(interval.error());
            schedule.interval = *interval;
        }
        if (at_.empty())
            return schedule;
        const auto time = parse_timestamp(at_, wall_now());
        if (!time)
            return std::unexpected(usage_error(
                fmt::format("'{}' is not a valid time: give 2026-01-31T08:30:00Z, @SECONDS since "
                            "the clock's zero, or 08:30, from 1970 to 2262",
                            at_)));
        if (schedule.clock && !is_wall_clock(*schedule.clock) && !time->is_clock_neutral)
            return std::unexpected(usage_error(fmt::format(
                "the clock {} has no time of day; give @SECONDS since its zero", clock_)));
        schedule.at = time->since_zero;
        schedule.clock = schedule.clock.value_or(Clock::realtime);
        return schedule;
    }

    NameArgument name_;
    NewObjectOptions new_;
    std::string after_;
    std::string at_;
    std::string every_;
    std::string clock_;
    std::string sets_;
    bool cancels_ = false;
};

} // namespace

void add_arm(Verbs& verbs)
{
    verbs.add<Arm>();
}

} // namespace evfd::control
