// What timers are told: Arm, Disarm.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

struct Arm {
    Name name;
    std::optional<Clock> clock = {};
    std::optional<nanoseconds> first = {};
    std::optional<nanoseconds> after = {};
    std::optional<nanoseconds> interval = {};
    std::optional<bool> cancel_on_clock_change = {};
    std::optional<Name> sets = {};
    std::optional<Permissions> rights = {};
    std::optional<Lifetime> lifetime = {};

    struct Reply {
        bool created;
        static constexpr auto fields()
        {
            return std::tuple{
                field("created", &Reply::created, "False if the timer was there already.")};
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Arm";
    static constexpr std::string_view comment =
        "Arms a timer, which is made if it is missing, with a new schedule: it expires at a first "
        "point and then after each interval. Each opener has a timerfd of its own on that same "
        "grid; all of them follow before the reply is sent. It is never early. What this call does "
        "not say of clock change and link is not so any more.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &Arm::name, "As in CreateEvent."),
            field("clock", &Arm::clock,
                  "What it goes by, as in timerfd_create(2). If absent, what it goes by already; a "
                  "new one by realtime with firstNSec, else by monotonic. The alarm clocks wake "
                  "the machine from suspend: only root and the daemon's own user may have that, "
                  "and the daemon needs CAP_WAKE_ALARM. It cannot change while someone has the "
                  "timer open."),
            field("firstNSec", &Arm::first,
                  "When it expires first: nanoseconds since the clock's zero, 1970 for realtime. "
                  "One that has passed expires at once. 0: one interval after the zero."),
            field("afterNSec", &Arm::after,
                  "Instead of firstNSec: how long from now. Setting the wall clock does not move "
                  "it. If both are absent, one interval."),
            field("intervalNSec", &Arm::interval,
                  "How long from one expiry to the next; once if it is 0 or absent. With sets at "
                  "least 1000000."),
            field("cancelOnClockChange", &Arm::cancel_on_clock_change,
                  "If true, the timer is cancelled when the wall clock is set: who waits for it "
                  "hears Cancelled, a read(2) of its descriptors fails once with ECANCELED "
                  "(timerfd_create(2)); then call Acknowledge. Only with firstNSec on realtime or "
                  "realtime_alarm."),
            field("sets", &Arm::sets,
                  "The event that is set at each expiry; the caller must be allowed to, now and at "
                  "each expiry: by the rights and the policy as they are then. What was "
                  "missed while the daemon was stopped is made up for: a semaphore or a pulse gets "
                  "as many."),
            field("rights", &Arm::rights,
                  "For a new timer, as in CreateEvent: r = may wait, w = may arm and disarm."),
            field("lifetime", &Arm::lifetime, "For a new timer, as in CreateEvent."),
        };
    }
};

struct Disarm {
    NameList names;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Disarm";
    static constexpr std::string_view comment =
        "Disarms timers, in every descriptor that follows them: none expires until it is armed "
        "again, and expirations that were not read are forgotten. All or nothing.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Disarm::names, "1 to 253 names, none twice.")};
    }
};

} // namespace evfd::protocol
