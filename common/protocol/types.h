// What several messages of the wire speak of.
#pragma once

#include "common/codec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

using Uid = std::int64_t;

struct Timer {
    Clock clock;
    TimerState state;
    bool moves_with_wall_clock;
    std::optional<nanoseconds> next;
    std::optional<nanoseconds> left;
    nanoseconds interval;
    std::int64_t expirations;
    bool first_was_past;
    bool cancel_on_clock_change;
    std::optional<Name> sets;
    std::optional<bool> is_link_broken;
    std::optional<bool> is_link_denied = {};

    static constexpr std::string_view type_name = "Timer";
    static constexpr std::string_view comment = "What a timer does now.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("clock", &Timer::clock, "What it goes by."),
            field("state", &Timer::state,
                  "disarmed: it expires no more; armed: it will; expired: it was to expire once, "
                  "and did; cancelled: disarmed, because the wall clock was set."),
            field("movesWithWallClock", &Timer::moves_with_wall_clock,
                  "Whether setting the wall clock moves it: that of an absolute time on realtime "
                  "does, that of a span from the moment of arming does not."),
            field("nextNSec", &Timer::next,
                  "When it expires next, on its clock; absent if it does not."),
            field("leftNSec", &Timer::left, "How long until then."),
            field("intervalNSec", &Timer::interval, "How long from one to the next; 0: once."),
            field("expirations", &Timer::expirations,
                  "How often it expired since it was armed, what had passed then included."),
            field("firstWasPast", &Timer::first_was_past,
                  "Whether its first expiry had passed when it was armed, so it expired at once."),
            field("cancelOnClockChange", &Timer::cancel_on_clock_change, "As in Arm."),
            field("sets", &Timer::sets, "As in Arm."),
            field("isLinkBroken", &Timer::is_link_broken,
                  "Whether the event that it sets was deleted since; absent if it sets none."),
            field(
                "isLinkDenied", &Timer::is_link_denied,
                "Whether the caller that armed it may not set that event any more, by the event's "
                "rights or the policy: then an expiry sets nothing, and is not made up for later. "
                "Absent if it sets none."),
        };
    }
};

struct LastSet {
    WallTime at;
    Uid uid;
    std::optional<std::int64_t> pid;

    static constexpr std::string_view type_name = "LastSet";
    static constexpr std::string_view comment = "Who set an event, and when.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("atNSec", &LastSet::at, "When, as createdNSec."),
            field("uid", &LastSet::uid, "Whose process it was, or who had armed the timer."),
            field("pid", &LastSet::pid, "The process that called Set; absent if it was a timer."),
        };
    }
};

struct Object {
    Name name;
    Kind kind;
    std::optional<Mode> mode;
    Uid owner_uid;
    Uid group_gid;
    std::int64_t creator_pid;
    WallTime created_at;
    std::optional<LastSet> last_set = {};
    Permissions rights;
    Lifetime lifetime;
    std::int64_t waits;
    std::optional<bool> is_set;
    std::optional<std::int64_t> count;
    std::optional<std::string> large_count;
    std::optional<std::int64_t> pulses;
    std::optional<std::int64_t> subscriptions;
    std::optional<Timer> timer;

    static constexpr std::string_view type_name = "Object";
    static constexpr std::string_view comment =
        "An object as it is now. Its state is there only for those who may wait for it.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &Object::name, "What it is called."),
            field("kind", &Object::kind, "What it is."),
            field("mode", &Object::mode,
                  "What a wait does to it, as in CreateEvent; absent for a timer."),
            field("ownerUid", &Object::owner_uid, "The user who created it."),
            field("groupGid", &Object::group_gid, "The group of that user's process."),
            field("creatorPid", &Object::creator_pid, "The process that created it."),
            field("createdNSec", &Object::created_at,
                  "When, on the realtime clock: nanoseconds since 1970-01-01T00:00:00Z."),
            field("lastSet", &Object::last_set,
                  "For an event: the last set that the daemon did, for a call of Set or for a "
                  "timer; absent if it did none since it started, or to those who may not wait. "
                  "Sets that holders do on its descriptor the daemon does not see, and what there "
                  "was before a restart it does not know."),
            field("rights", &Object::rights,
                  "Who may look and wait, and who may set, as in CreateEvent."),
            field("lifetime", &Object::lifetime, "How long it stays, as in CreateEvent."),
            field("waits", &Object::waits, "How many Wait calls are waiting for it now."),
            field("isSet", &Object::is_set,
                  "Whether a wait would end at once; never for a pulse, and for a timer if it is "
                  "expired."),
            field("count", &Object::count, "The descriptor's counter; a semaphore's tokens."),
            field(
                "largeCount", &Object::large_count,
                "The counter in decimal digits where it is beyond 63 bits; then count is absent."),
            field("pulses", &Object::pulses, "For a pulse: how often it was set so far."),
            field("subscriptions", &Object::subscriptions,
                  "For a pulse or a timer: how many private descriptors follow it."),
            field("timer", &Object::timer, "For a timer: what it does."),
        };
    }
};

struct Opened {
    Kind kind;
    std::optional<Mode> mode;
    bool may_wait;
    bool may_set;
    std::optional<PassedFd> file_descriptor;
    std::optional<std::string> subscription;

    static constexpr std::string_view type_name = "Opened";
    static constexpr std::string_view comment = "What Open hands over for one name.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("kind", &Opened::kind, "What it is."),
            field("mode", &Opened::mode,
                  "What a wait does to it, as in CreateEvent; absent for a timer."),
            field("mayWait", &Opened::may_wait,
                  "Whether the caller may look at it, poll it, and wait for it where a wait "
                  "consumes nothing."),
            field("maySet", &Opened::may_set,
                  "Whether the caller may set and clear it, or arm and disarm it. To consume from "
                  "an auto event or a semaphore takes this and mayWait."),
            field("fileDescriptor", &Opened::file_descriptor,
                  "Index of its descriptor among those that come with this reply; absent where the "
                  "caller may not wait. With both rights: the eventfd itself. With the right to "
                  "wait only: an epoll descriptor that is readable while the event is set, and "
                  "through which nothing can be taken. For a pulse: the caller's own "
                  "eventfd, which counts the pulses since. For a timer: the caller's own timerfd, "
                  "which counts its expirations; it is readable at once if the timer is expired."),
            field("subscription", &Opened::subscription,
                  "For a pulse or a timer: what Unsubscribe takes. It ends with this connection."),
        };
    }
};

struct Fired {
    Name name;
    std::int64_t count;

    static constexpr std::string_view type_name = "Fired";
    static constexpr std::string_view comment = "A name that a wait was released by.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &Fired::name, "Which."),
            field("count", &Fired::count,
                  "How many pulses came, or how often the timer expired, since the wait began; 1 "
                  "for every other event."),
        };
    }
};

struct Nothing {
    static constexpr auto fields() { return std::tuple{}; }
};

} // namespace evfd::protocol
