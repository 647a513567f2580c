// The records of the journal. Each record is declared once, as a struct with a list of fields. The
// record codec derives the reader and the writer of the record from this list, and evfdd
// --print-journal prints the fields with their names. A later version of evfdd can append optional
// fields to a list, and a reader ignores fields that it does not know. The order of a list is part
// of the format (record_codec.h). The names never change either, because earlier versions wrote
// records in JSON.
//
// is_valid() returns whether a daemon can have written the record. Arithmetic with the numbers of a
// valid record does not overflow.
#pragma once

#include "common/codec.h"

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon::record {

using Id = std::int64_t;

// The upper bound of every counter. The sum of two such counters still fits an int64_t.
inline constexpr auto max_count = std::numeric_limits<std::int64_t>::max() / 2;
constexpr bool is_count(std::int64_t number)
{
    return number >= 0 && number <= max_count;
}
constexpr bool is_user(std::int64_t number)
{
    return number >= 0 && number <= std::numeric_limits<uid_t>::max();
}

// The kinds of records. The kind is a part of a record's key in the journal. A later version of
// evfdd never gives a number another meaning.
enum class Kind : std::uint32_t {
    object = 1,
    counters = 2,
    subscription = 3,
    session = 4,
    taken_tokens = 5,
    intent = 6,
    process = 7,
    ids = 8,
    number = 9,
};
constexpr auto enum_names(Kind)
{
    return EnumNames<Kind, 9>{{{Kind::object, "object"},
                               {Kind::counters, "counters"},
                               {Kind::subscription, "subscription"},
                               {Kind::session, "session"},
                               {Kind::taken_tokens, "takenTokens"},
                               {Kind::intent, "intent"},
                               {Kind::process, "process"},
                               {Kind::ids, "ids"},
                               {Kind::number, "number"}}};
}

struct Target {
    Name event;
    Id id;
    bool is_deleted;
    std::optional<std::int64_t> uid = {};
    std::optional<std::int64_t> gid = {};
    std::optional<std::vector<std::int64_t>> groups = {};
    std::optional<bool> is_declared = {};

    bool is_valid() const
    {
        return is_user(uid.value_or(0)) && is_user(gid.value_or(0)) &&
               (!groups || std::ranges::all_of(*groups, is_user));
    }

    static constexpr std::string_view type_name = "Link";
    static constexpr std::string_view comment = "The event that a timer sets.";
    static constexpr auto fields()
    {
        return field_list(
            field("event", &Target::event, "Its name."),
            field("id", &Target::id, "Id of the event."),
            field("isLost", &Target::is_deleted, "The event had been deleted at an expiration."),
            field("uid", &Target::uid, "User who armed the timer; absent: its owner."),
            field("gid", &Target::gid, "That user's group; absent: unknown."),
            field("groups", &Target::groups, "That user's other groups."),
            field("isDeclared", &Target::is_declared, "The configuration declares it."));
    }
};

struct Timer {
    Clock clock;
    bool is_relative;
    bool cancel_on_clock_change;
    bool was_in_past;
    Clock grid;
    nanoseconds first;
    nanoseconds interval;
    TimerState state;
    std::optional<std::int64_t> wall_offset;
    std::optional<Target> target;

    bool is_valid() const
    {
        const auto offset = wall_offset.value_or(0);
        return first > nanoseconds{0} && offset >= -max_count && offset <= max_count &&
               (!target || target->is_valid());
    }

    static constexpr std::string_view type_name = "Timer";
    static constexpr std::string_view comment = "The setting of a timer.";
    static constexpr auto fields()
    {
        return field_list(
            field("clock", &Timer::clock, "As requested."),
            field("isRelative", &Timer::is_relative,
                  "The first expiration is relative to the arming."),
            field("cancel", &Timer::cancel_on_clock_change,
                  "Setting the wall clock cancels the timer."),
            field("wasPast", &Timer::was_in_past,
                  "The first expiration was past when it was armed."),
            field("grid", &Timer::grid, "Clock of the expirations."),
            field("first", &Timer::first, "First expiration."),
            field("interval", &Timer::interval, "Interval; 0: one expiration only."),
            field("phase", &Timer::state, "State of the timer."),
            field("wallOffset", &Timer::wall_offset,
                  "Offset of the wall clock to boottime, if setting it cancels the timer."),
            field("link", &Timer::target, "The event to set."));
    }
};

struct Object {
    static constexpr auto kind = Kind::object;
    Name name;
    std::optional<Mode> mode;
    std::int64_t owner;
    std::int64_t group;
    Permissions permissions;
    std::int64_t creator;
    WallTime created;
    std::optional<Id> session;
    std::optional<Timer> timer;
    std::optional<Id> process = {};
    std::optional<std::int64_t> number = {};
    std::optional<std::int64_t> opened_by = {};

    bool is_valid() const
    {
        return is_user(owner) && is_user(group) && (!timer || timer->is_valid()) &&
               is_count(number.value_or(0)) && is_user(opened_by.value_or(0));
    }
    static constexpr auto fields()
    {
        return field_list(
            field("name", &Object::name, ""), field("mode", &Object::mode, "Mode of an event."),
            field("owner", &Object::owner, "uid"), field("group", &Object::group, "gid"),
            field("rights", &Object::permissions, ""), field("creator", &Object::creator, "pid"),
            field("created", &Object::created, ""),
            field("session", &Object::session, "The object ends with this session."),
            field("timer", &Object::timer, "Setting of a timer."),
            field("process", &Object::process, "The object ends with this process."),
            field("number", &Object::number,
                  "Counter of an event whose counter is a number. A record of the kind `number` "
                  "has a later value. Absent: the counter is an eventfd in the stash."),
            field("openedBy", &Object::opened_by,
                  "User whose open made the eventfd, or the mirror of the number."));
    }
};

// The present counter of an event whose counter is a number. There is no such record until the
// number changes for the first time. The id of this record is the id of the object.
struct Number {
    static constexpr auto kind = Kind::number;
    std::int64_t count;

    bool is_valid() const { return is_count(count); }
    static constexpr auto fields() { return field_list(field("count", &Number::count, "")); }
};

// The counters of an object. They change often, so they have a record of their own. The id of this
// record is the id of the object.
struct Counters {
    static constexpr auto kind = Kind::counters;
    std::optional<std::int64_t> expirations;
    std::int64_t backlog;
    std::int64_t pulses;

    bool is_valid() const
    {
        return is_count(expirations.value_or(0)) && is_count(backlog) && is_count(pulses);
    }
    static constexpr auto fields()
    {
        return field_list(
            field("counted", &Counters::expirations,
                  "Expirations of a timer, up to the last poll."),
            field("owed", &Counters::backlog, "Tokens that a timer's event must still get."),
            field("pulses", &Counters::pulses, "Number of times a pulse was set."));
    }
};

struct Subscription {
    static constexpr auto kind = Kind::subscription;
    std::string token;
    Id object;
    Id session;

    static constexpr auto fields()
    {
        return field_list(field("token", &Subscription::token, ""),
                          field("object", &Subscription::object, "Object of the subscription."),
                          field("session", &Subscription::session, "The owning session."));
    }
};

struct Session {
    static constexpr auto kind = Kind::session;
    std::string token;
    std::int64_t uid;
    std::int64_t sequence;
    std::string cached_reply;
    std::vector<Id> new_subscriptions;
    std::optional<std::int64_t> tokens_applied;

    bool is_valid() const
    {
        return is_user(uid) && is_count(sequence) && is_count(tokens_applied.value_or(0));
    }
    static constexpr auto fields()
    {
        return field_list(
            field("token", &Session::token, "Identifies the session to its client."),
            field("uid", &Session::uid, "User that owns the session."),
            field("calls", &Session::sequence, "Sequence number of its last call."),
            field("reply", &Session::cached_reply,
                  "Reply to that call; empty: it cannot be repeated."),
            field("opened", &Session::new_subscriptions,
                  "Subscriptions that the last call created."),
            field("given", &Session::tokens_applied, "Tokens of the next call, a Set under way."));
    }
};

// The tokens that a Wait call consumed. The record exists until the client has the reply, or for as
// long as the tokens are held. Some holders can have ended after the record was written.
struct TakenTokens {
    static constexpr auto kind = Kind::taken_tokens;
    Id session;
    std::int64_t sequence;
    std::vector<Id> objects;
    std::optional<bool> is_held_by_session = {};
    std::optional<std::string> hold = {};
    std::optional<std::int64_t> uid = {};
    std::optional<std::vector<Id>> processes = {};

    bool is_valid() const { return is_user(uid.value_or(0)); }
    static constexpr auto fields()
    {
        return field_list(
            field("session", &TakenTokens::session, "The owning session."),
            field("call", &TakenTokens::sequence, "Sequence number of the Wait; 0: none."),
            field("from", &TakenTokens::objects, "One token from each."),
            field("held", &TakenTokens::is_held_by_session, "The session is a holder."),
            field("hold", &TakenTokens::hold, "Id of the hold."),
            field("uid", &TakenTokens::uid, "User whose processes may join the hold."),
            field("processes", &TakenTokens::processes, "Processes that are holders."));
    }
};

// A process that holds tokens, or at whose end the daemon deletes temporary objects. The pidfd of
// the process is in the stash.
struct Process {
    static constexpr auto kind = Kind::process;
    std::int64_t pid;
    std::int64_t uid;

    bool is_valid() const
    {
        return pid > 0 && pid <= std::numeric_limits<pid_t>::max() && is_user(uid);
    }
    static constexpr auto fields()
    {
        return field_list(
            field("pid", &Process::pid, ""),
            field("uid", &Process::uid, "User of the process when it was first needed."));
    }
};

// The ids that are reserved for new objects. Any id up to `last` can have been assigned already,
// even if no object has it at present.
struct Ids {
    static constexpr auto kind = Kind::ids;
    Id last;

    bool is_valid() const { return last > 0 && last <= max_object_id; }
    static constexpr auto fields()
    {
        return field_list(field("last", &Ids::last, "The last reserved id."));
    }
};

struct Increment {
    Id object;
    std::int64_t tokens;

    static constexpr std::string_view type_name = "Addition";
    static constexpr std::string_view comment = "Tokens for one object.";
    static constexpr auto fields()
    {
        return field_list(
            field("object", &Increment::object, ""),
            field("tokens", &Increment::tokens, "Each subscriber of a pulse gets this many."));
    }
};

// An intent: the tokens that are about to be added to events.
struct Intent {
    static constexpr auto kind = Kind::intent;
    std::int64_t commit;
    std::vector<Increment> increments;

    static constexpr auto fields()
    {
        return field_list(
            field("commit", &Intent::commit, "Number of the commit with this record."),
            field("additions", &Intent::increments, "In the order of the progress page."));
    }
};

using Types =
    TypeList<Object, Counters, Subscription, Session, TakenTokens, Intent, Process, Ids, Number>;

// Calls `f.template operator()<Record>()` with the type of the records of this kind. Returns false
// if there is no such type.
template <class F>
bool with_type(Kind kind, F f)
{
    return [&]<class... Record>(TypeList<Record...>) {
        return ((kind == Record::kind && (f.template operator()<Record>(), true)) || ...);
    }(Types{});
}

} // namespace evfd::daemon::record
