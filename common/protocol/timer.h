// The calls that arm and disarm timers: Arm, Disarm.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>

namespace evfd::protocol {

struct Arm {
    Name name;
    std::optional<Clock> clock = {};
    std::optional<nanoseconds> first = {};
    std::optional<nanoseconds> after = {};
    std::optional<nanoseconds> interval = {};
    std::optional<bool> cancel_on_clock_change = {};
    std::optional<Name> sets = {};
    std::optional<Permissions> permissions = {};
    std::optional<Lifetime> lifetime = {};
    std::optional<ObjectId> id = {};
    friend bool operator==(const Arm&, const Arm&) = default;

    struct Reply {
        bool created;
        ObjectId id;
        static constexpr auto fields()
        {
            return field_list(field("created", &Reply::created, "False if the timer existed."),
                              field("id", &Reply::id, "The timer's id, as in Object."));
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Arm";
    static constexpr std::string_view comment =
        "Arms a timer with a new schedule: a first expiration, and further ones after each "
        "interval. Creates the timer if it does not exist. Each subscriber has a private timerfd "
        "with the same expirations; all of them have the new schedule before the reply is sent. A "
        "timer never expires early. cancelOnClockChange and sets are reset to their defaults if "
        "absent. To arm an existing timer needs the w permission.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &Arm::name, "The timer's name, as in CreateEvent."),
            field("clock", &Arm::clock,
                  "The timer's clock, as in timerfd_create(2). If absent, an existing timer keeps "
                  "its clock; a new one has realtime with firstNSec, else monotonic. The alarm "
                  "clocks wake the machine from suspend: only root and the daemon's own user may "
                  "use them, and the daemon needs CAP_WAKE_ALARM. The clock cannot change while "
                  "the timer has subscribers."),
            field("firstNSec", &Arm::first,
                  "Time of the first expiration, in nanoseconds since the clock's zero, 1970 for "
                  "realtime. A time in the past expires at once. 0: one interval after the zero."),
            field("afterNSec", &Arm::after,
                  "Time from now to the first expiration, instead of firstNSec. Setting the wall "
                  "clock does not move it. If both are absent, one interval."),
            field("intervalNSec", &Arm::interval,
                  "Time from one expiration to the next; the timer expires once if it is 0 or "
                  "absent. With sets at least 1000000."),
            field("cancelOnClockChange", &Arm::cancel_on_clock_change,
                  "If true, setting the wall clock cancels the timer: waits for it fail with "
                  "Cancelled, and a read(2) of a descriptor fails once with ECANCELED "
                  "(timerfd_create(2)); then call Acknowledge. Only with firstNSec on realtime or "
                  "realtime_alarm."),
            field("sets", &Arm::sets,
                  "Name of an event that the daemon sets at each expiration. The caller needs the "
                  "w permission of the event; permissions and policy are checked again at each "
                  "expiration. After a restart the daemon makes up for missed expirations: a "
                  "semaphore or a pulse gets as many."),
            field("permissions", &Arm::permissions,
                  "For a new timer, as in CreateEvent. r: wait. w: arm and disarm."),
            field("lifetime", &Arm::lifetime, "For a new timer, as in CreateEvent."),
            field("id", &Arm::id,
                  "If present, only the timer with this id is armed, and none is created: the call "
                  "fails with Replaced if another object has the name now, and with NoSuchName if "
                  "none has it."));
    }
};

struct Disarm {
    Items<Item> items;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Disarm";
    static constexpr std::string_view comment =
        "Disarms timers, in every descriptor of their subscribers: none expires until it is armed "
        "again, and expirations that were not read are discarded. The call disarms all timers or "
        "none. It needs the w permission.";
    static constexpr auto fields()
    {
        return field_list(field("items", &Disarm::items, "1 to 253 timers, no name twice."));
    }
};

} // namespace evfd::protocol
