// The types that several messages of the protocol use.
#pragma once

#include "common/codec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::protocol {

using Uid = std::int64_t;
// Identifies an object: the daemon never gives an id twice.
using ObjectId = BoundedInt<1, max_object_id>;

inline constexpr std::string_view id_comment =
    "If present, the object must have this id: the call fails with Replaced if another object has "
    "the name now.";

struct Item {
    Name name;
    std::optional<ObjectId> id = {};
    friend bool operator==(const Item&, const Item&) = default;

    static constexpr std::string_view type_name = "Item";
    static constexpr std::string_view comment = "An object that a call acts on.";
    static constexpr auto fields()
    {
        return field_list(field("name", &Item::name, "The object's name."),
                          field("id", &Item::id, id_comment));
    }
};

struct Timer {
    Clock clock;
    TimerState state;
    bool moves_with_wall_clock;
    std::optional<nanoseconds> next = {};
    std::optional<nanoseconds> left = {};
    nanoseconds interval;
    std::int64_t expirations;
    bool first_was_past;
    bool cancel_on_clock_change;
    std::optional<Name> sets = {};
    std::optional<bool> is_target_deleted = {};
    std::optional<bool> is_target_denied = {};

    static constexpr std::string_view type_name = "Timer";
    static constexpr std::string_view comment = "The schedule and the state of a timer.";
    static constexpr auto fields()
    {
        return field_list(
            field("clock", &Timer::clock, "The timer's clock."),
            field("state", &Timer::state,
                  "disarmed: it does not expire. armed: it will expire. expired: it was armed to "
                  "expire once, and has. cancelled: setting the wall clock disarmed it."),
            field("movesWithWallClock", &Timer::moves_with_wall_clock,
                  "Whether setting the wall clock moves the next expiration: true for an absolute "
                  "time on realtime, false for a time from the moment of arming."),
            field("nextNSec", &Timer::next,
                  "Time of the next expiration on the timer's clock; absent if there is none."),
            field("leftNSec", &Timer::left,
                  "Time until the next expiration; absent if there is none."),
            field("intervalNSec", &Timer::interval,
                  "Time from one expiration to the next; 0 if the timer expires once."),
            field("expirations", &Timer::expirations,
                  "Number of expirations since the timer was armed, including those that were in "
                  "the past then."),
            field("firstWasPast", &Timer::first_was_past,
                  "Whether the first expiration was in the past when the timer was armed, so that "
                  "it expired at once."),
            field("cancelOnClockChange", &Timer::cancel_on_clock_change, "As in Arm."),
            field("sets", &Timer::sets, "As in Arm."),
            field("isTargetDeleted", &Timer::is_target_deleted,
                  "Whether the event that the timer sets was deleted; absent if it sets none."),
            field("isTargetDenied", &Timer::is_target_denied,
                  "Whether the caller that armed the timer may no longer set the event, by its "
                  "permissions or the policy: then an expiration sets nothing, and is not made up "
                  "for later. Absent if the timer sets none."));
    }
};

struct LastSet {
    WallTime at;
    Uid uid;
    std::optional<std::int64_t> pid;

    static constexpr std::string_view type_name = "LastSet";
    static constexpr std::string_view comment = "The last set of an event by the daemon.";
    static constexpr auto fields()
    {
        return field_list(
            field("atNSec", &LastSet::at,
                  "Time of the set, in nanoseconds since 1970-01-01T00:00:00Z."),
            field("uid", &LastSet::uid,
                  "User of the process that called Set, or of the one that armed the timer."),
            field("pid", &LastSet::pid,
                  "The process that called Set; absent if a timer set the event."));
    }
};

struct Object {
    Name name;
    ObjectId id;
    Kind kind;
    std::optional<Mode> mode;
    Uid owner_uid;
    Uid group_gid;
    std::int64_t creator_pid;
    WallTime created_at;
    std::optional<LastSet> last_set = {};
    Permissions permissions;
    Lifetime lifetime;
    std::int64_t waits;
    std::optional<bool> is_set = {};
    std::optional<std::int64_t> count = {};
    std::optional<std::string> large_count = {};
    std::optional<std::int64_t> pulses = {};
    std::optional<std::int64_t> subscribers = {};
    std::optional<Timer> timer = {};

    static constexpr std::string_view type_name = "Object";
    static constexpr std::string_view comment =
        "An event or a timer. lastSet, isSet, count, largeCount, pulses, subscribers and timer are "
        "absent for a caller without the r permission.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &Object::name, "The object's name."),
            field("id", &Object::id,
                  "Identifies the object: the daemon never gives an id twice, so an object that is "
                  "created again under the same name has another id. 1 to 2^53-1."),
            field("kind", &Object::kind, "Whether it is an event or a timer."),
            field("mode", &Object::mode, "The event's mode, as in CreateEvent."),
            field("ownerUid", &Object::owner_uid, "The user who created the object."),
            field("groupGid", &Object::group_gid, "The group of the process that created it."),
            field("creatorPid", &Object::creator_pid, "The process that created it."),
            field("createdNSec", &Object::created_at,
                  "Time of its creation, in nanoseconds since 1970-01-01T00:00:00Z."),
            field("lastSet", &Object::last_set,
                  "The last set of an event that the daemon did, for a call of Set or for a "
                  "timer; absent if there was none since the daemon's start. Sets on a descriptor "
                  "do not go through the daemon and are not recorded."),
            field("permissions", &Object::permissions, "As in CreateEvent."),
            field("lifetime", &Object::lifetime, "As in CreateEvent."),
            field("waits", &Object::waits, "Number of Wait calls that wait for it now."),
            field("isSet", &Object::is_set,
                  "Whether a wait would end at once. Always false for a pulse; for a timer, "
                  "whether it has expired and does not expire again."),
            field("count", &Object::count,
                  "The event's counter; for a semaphore, its number of tokens."),
            field("largeCount", &Object::large_count,
                  "The event's counter in decimal digits, instead of count, if it has more than 63 "
                  "bits."),
            field("pulses", &Object::pulses, "Number of sets of a pulse so far."),
            field("subscribers", &Object::subscribers,
                  "Number of private descriptors of a pulse or a timer."),
            field("timer", &Object::timer, "The schedule and the state of a timer."));
    }
};

struct Opened {
    Kind kind;
    std::optional<Mode> mode;
    bool may_wait;
    bool may_set;
    std::optional<PassedFd> file_descriptor;
    std::optional<std::string> subscription;
    ObjectId id;

    static constexpr std::string_view type_name = "Opened";
    static constexpr std::string_view comment = "An object that Open has opened.";
    static constexpr auto fields()
    {
        return field_list(
            field("kind", &Opened::kind, "Whether it is an event or a timer."),
            field("mode", &Opened::mode, "The event's mode, as in CreateEvent."),
            field("canWait", &Opened::may_wait,
                  "Whether the caller has the r permission: it may see the state, poll, and wait "
                  "where a wait consumes nothing."),
            field("canSet", &Opened::may_set,
                  "Whether the caller has the w permission: it may set and clear, or arm and "
                  "disarm. A wait that consumes needs this and canWait."),
            field("fileDescriptor", &Opened::file_descriptor,
                  "Index of the object's descriptor among those of this reply; absent without "
                  "canWait. For an event with canSet: the eventfd itself. Without canSet: an epoll "
                  "descriptor that is readable while the event is set; nothing can be consumed "
                  "through it. For a pulse: a private eventfd that counts the pulses from now on. "
                  "For a timer: a private timerfd that counts its expirations; it is readable at "
                  "once if the timer has expired."),
            field("subscription", &Opened::subscription,
                  "For a pulse or a timer: the subscription, for Unsubscribe and Acknowledge. It "
                  "ends with the session."),
            field("id", &Opened::id, "The object's id, as in Object."));
    }
};

struct Fired {
    Name name;
    std::int64_t count;
    std::int64_t index;
    ObjectId id;

    static constexpr std::string_view type_name = "Fired";
    static constexpr std::string_view comment = "An item that ended a wait.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &Fired::name, "The object's name."),
            field("count", &Fired::count,
                  "Number of pulses or expirations since the wait began; 1 for other events."),
            field("index", &Fired::index, "Position of the item in the call's items, from 0."),
            field("id", &Fired::id, "The object's id, as in Object."));
    }
};

struct Nothing {
    static constexpr auto fields() { return field_list(); }
};

} // namespace evfd::protocol
