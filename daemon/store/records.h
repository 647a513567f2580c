// What the journal holds, each record stated once: reader and writer come from these lists, as with
// the messages of the wire. A field that a later version adds is optional; one that is not known is
// passed over. is_valid(): it may have been written by a daemon, and can be reckoned with.
#pragma once

#include "common/codec.h"

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace evfd::daemon::record {

using Id = std::int64_t;

// Beyond this no counter gets, and the sum of two is still a number.
inline constexpr auto max_count = std::numeric_limits<std::int64_t>::max() / 2;
constexpr bool is_count(std::int64_t number)
{
    return number >= 0 && number <= max_count;
}
constexpr bool is_user(std::int64_t number)
{
    return number >= 0 && number <= std::numeric_limits<uid_t>::max();
}

// Numbers of the journal's keys: never given another meaning.
enum class Kind : std::uint32_t {
    object = 1,
    counters = 2,
    subscription = 3,
    session = 4,
    taken_tokens = 5,
    intent = 6,
    process = 7,
};

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
        return std::tuple{field("event", &Target::event, "Its name."),
                          field("id", &Target::id, "Its id: another of that name is not meant."),
                          field("isLost", &Target::is_deleted, "It was not there at an expiry."),
                          field("uid", &Target::uid, "Of who armed it; absent: the timer's owner."),
                          field("gid", &Target::gid, "Its group; absent: not known."),
                          field("groups", &Target::groups, "Its other groups."),
                          field("isDeclared", &Target::is_declared, "By the configuration.")};
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
    static constexpr std::string_view comment = "What a timer is armed with.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("clock", &Timer::clock, "As asked for."),
            field("isRelative", &Timer::is_relative, "A span from the moment of arming."),
            field("cancel", &Timer::cancel_on_clock_change, "By setting the wall clock."),
            field("wasPast", &Timer::was_in_past, "The first point, when it was armed."),
            field("grid", &Timer::grid, "The clock of its points."),
            field("first", &Timer::first, "The first point."),
            field("interval", &Timer::interval, "From one to the next."),
            field("phase", &Timer::state, "Armed, disarmed or cancelled."),
            field("wallOffset", &Timer::wall_offset,
                  "Of the wall clock to the one since boot, if setting it cancels the timer."),
            field("link", &Timer::target, "What it sets."),
        };
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

    bool is_valid() const
    {
        return is_user(owner) && is_user(group) && (!timer || timer->is_valid());
    }
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &Object::name, ""),
            field("mode", &Object::mode, "Of an event."),
            field("owner", &Object::owner, "uid"),
            field("group", &Object::group, "gid"),
            field("rights", &Object::permissions, ""),
            field("creator", &Object::creator, "pid"),
            field("created", &Object::created, ""),
            field("session", &Object::session, "With which it ends; absent: it is permanent."),
            field("timer", &Object::timer, "Of a timer."),
            field("process", &Object::process, "With which it ends."),
        };
    }
};

// What changes often; the id is the object's.
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
        return std::tuple{
            field("counted", &Counters::expirations, "Points of a timer, up to the last look."),
            field("owed", &Counters::backlog, "Tokens that a timer's event still has to get."),
            field("pulses", &Counters::pulses, "How often a pulse was set."),
        };
    }
};

struct Subscription {
    static constexpr auto kind = Kind::subscription;
    std::string token;
    Id object;
    Id session;

    static constexpr auto fields()
    {
        return std::tuple{
            field("token", &Subscription::token, ""),
            field("object", &Subscription::object, "What it follows."),
            field("session", &Subscription::session, "Whose it is."),
        };
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
        return std::tuple{
            field("token", &Session::token, "By which its client takes it up again."),
            field("uid", &Session::uid, "Whose it is."),
            field("calls", &Session::sequence, "How many of its calls were done."),
            field("reply", &Session::cached_reply,
                  "To the last of them; empty: it cannot be given twice."),
            field("opened", &Session::new_subscriptions,
                  "Subscriptions that the last of them began."),
            field("given", &Session::tokens_applied,
                  "Tokens by the next call, a Set that was begun."),
        };
    }
};

// What a Wait took, until its client has the answer; or as long as anyone holds it: of these some
// may have ended since.
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
        return std::tuple{
            field("session", &TakenTokens::session, "Whose it is."),
            field("call", &TakenTokens::sequence, "Which of the calls that it counts; or 0."),
            field("from", &TakenTokens::objects, "One token from each."),
            field("held", &TakenTokens::is_held_by_session, "Whether the session holds it."),
            field("hold", &TakenTokens::hold, "What the hold is called."),
            field("uid", &TakenTokens::uid, "Of those who may join the hold."),
            field("processes", &TakenTokens::processes, "Which hold it.")};
    }
};

// One with which something ends; its pidfd is parked.
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
        return std::tuple{field("pid", &Process::pid, ""),
                          field("uid", &Process::uid, "Whose it was when it was first needed.")};
    }
};

struct Increment {
    Id object;
    std::int64_t tokens;
    std::optional<std::int64_t> count_before;

    static constexpr std::string_view type_name = "Addition";
    static constexpr std::string_view comment = "To one object.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("object", &Increment::object, ""),
            field("tokens", &Increment::tokens, "Each follower of a pulse gets as many."),
            field("before", &Increment::count_before,
                  "What the counter was; then it is done by one write(2), not noted in the slip."),
        };
    }
};

// What was being added to events.
struct Intent {
    static constexpr auto kind = Kind::intent;
    std::int64_t commit;
    std::vector<Increment> increments;

    static constexpr auto fields()
    {
        return std::tuple{
            field("commit", &Intent::commit, "The number of the commit that this came with."),
            field("additions", &Intent::increments, "In the order in which the slip notes them."),
        };
    }
};

} // namespace evfd::daemon::record
