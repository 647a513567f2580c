// What the journal holds, each record stated once: reader and writer come from these lists, as with
// the messages of the wire. A field that a later version adds is optional; one that is not known is
// passed over. is_sound(): it may have been written by a daemon, and can be reckoned with.
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
inline constexpr auto most = std::numeric_limits<std::int64_t>::max() / 2;
constexpr bool is_count(std::int64_t number)
{
    return number >= 0 && number <= most;
}
constexpr bool is_user(std::int64_t number)
{
    return number >= 0 && number <= std::numeric_limits<uid_t>::max();
}

// Numbers of the journal's keys: never given another meaning.
enum class Kind : std::uint32_t {
    object = 1,
    progress = 2,
    subscription = 3,
    session = 4,
    takings = 5,
    plan = 6,
    process = 7,
};

struct Link {
    Name event;
    Id id;
    bool is_lost;
    std::optional<std::int64_t> uid = {};
    std::optional<std::int64_t> gid = {};
    std::optional<std::vector<std::int64_t>> groups = {};
    std::optional<bool> is_declared = {};

    bool is_sound() const
    {
        return is_user(uid.value_or(0)) && is_user(gid.value_or(0)) &&
               (!groups || std::ranges::all_of(*groups, is_user));
    }

    static constexpr std::string_view type_name = "Link";
    static constexpr std::string_view comment = "The event that a timer sets.";
    static constexpr auto fields()
    {
        return std::tuple{field("event", &Link::event, "Its name."),
                          field("id", &Link::id, "Its id: another of that name is not meant."),
                          field("isLost", &Link::is_lost, "It was not there at an expiry."),
                          field("uid", &Link::uid, "Of who armed it; absent: the timer's owner."),
                          field("gid", &Link::gid, "Its group; absent: not known."),
                          field("groups", &Link::groups, "Its other groups."),
                          field("isDeclared", &Link::is_declared, "By the configuration.")};
    }
};

struct Timer {
    Clock clock;
    bool is_relative;
    bool cancel_on_clock_change;
    bool was_past;
    Clock grid;
    nanoseconds first;
    nanoseconds interval;
    TimerState phase;
    std::optional<std::int64_t> wall_offset;
    std::optional<Link> link;

    bool is_sound() const
    {
        const auto offset = wall_offset.value_or(0);
        return first > nanoseconds{0} && offset >= -most && offset <= most &&
               (!link || link->is_sound());
    }

    static constexpr std::string_view type_name = "Timer";
    static constexpr std::string_view comment = "What a timer is armed with.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("clock", &Timer::clock, "As asked for."),
            field("isRelative", &Timer::is_relative, "A span from the moment of arming."),
            field("cancel", &Timer::cancel_on_clock_change, "By setting the wall clock."),
            field("wasPast", &Timer::was_past, "The first point, when it was armed."),
            field("grid", &Timer::grid, "The clock of its points."),
            field("first", &Timer::first, "The first point."),
            field("interval", &Timer::interval, "From one to the next."),
            field("phase", &Timer::phase, "Armed, disarmed or cancelled."),
            field("wallOffset", &Timer::wall_offset,
                  "Of the wall clock to the one since boot, if setting it cancels the timer."),
            field("link", &Timer::link, "What it sets."),
        };
    }
};

struct Object {
    static constexpr auto kind = Kind::object;
    Name name;
    std::optional<Mode> mode;
    std::int64_t owner;
    std::int64_t group;
    Rights rights;
    std::int64_t creator;
    WallTime created;
    std::optional<Id> session;
    std::optional<Timer> timer;
    std::optional<Id> process = {};

    bool is_sound() const
    {
        return is_user(owner) && is_user(group) && (!timer || timer->is_sound());
    }
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &Object::name, ""),
            field("mode", &Object::mode, "Of an event."),
            field("owner", &Object::owner, "uid"),
            field("group", &Object::group, "gid"),
            field("rights", &Object::rights, ""),
            field("creator", &Object::creator, "pid"),
            field("created", &Object::created, ""),
            field("session", &Object::session, "With which it ends; absent: it is permanent."),
            field("timer", &Object::timer, "Of a timer."),
            field("process", &Object::process, "With which it ends."),
        };
    }
};

// What changes often; the id is the object's.
struct Progress {
    static constexpr auto kind = Kind::progress;
    std::optional<std::int64_t> counted;
    std::int64_t owed;
    std::int64_t pulses;

    bool is_sound() const
    {
        return is_count(counted.value_or(0)) && is_count(owed) && is_count(pulses);
    }
    static constexpr auto fields()
    {
        return std::tuple{
            field("counted", &Progress::counted, "Points of a timer, up to the last look."),
            field("owed", &Progress::owed, "Tokens that a timer's event still has to get."),
            field("pulses", &Progress::pulses, "How often a pulse was set."),
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
    std::int64_t calls;
    std::string reply;
    std::vector<Id> opened;
    std::optional<std::int64_t> given;

    bool is_sound() const { return is_user(uid) && is_count(calls) && is_count(given.value_or(0)); }
    static constexpr auto fields()
    {
        return std::tuple{
            field("token", &Session::token, "By which its client takes it up again."),
            field("uid", &Session::uid, "Whose it is."),
            field("calls", &Session::calls, "How many of its calls were done."),
            field("reply", &Session::reply,
                  "To the last of them; empty: it cannot be given twice."),
            field("opened", &Session::opened, "Subscriptions that the last of them began."),
            field("given", &Session::given, "Tokens by the next call, a Set that was begun."),
        };
    }
};

// What a Wait took, until its client has the answer; or as long as anyone holds it: of these some
// may have ended since.
struct Takings {
    static constexpr auto kind = Kind::takings;
    Id session;
    std::int64_t call;
    std::vector<Id> from;
    std::optional<bool> held = {};
    std::optional<std::string> hold = {};
    std::optional<std::int64_t> uid = {};
    std::optional<std::vector<Id>> processes = {};

    bool is_sound() const { return is_user(uid.value_or(0)); }
    static constexpr auto fields()
    {
        return std::tuple{field("session", &Takings::session, "Whose it is."),
                          field("call", &Takings::call, "Which of the calls that it counts; or 0."),
                          field("from", &Takings::from, "One token from each."),
                          field("held", &Takings::held, "Whether the session holds it."),
                          field("hold", &Takings::hold, "What the hold is called."),
                          field("uid", &Takings::uid, "Of those who may join the hold."),
                          field("processes", &Takings::processes, "Which hold it.")};
    }
};

// One with which something ends; its pidfd is parked.
struct Process {
    static constexpr auto kind = Kind::process;
    std::int64_t pid;
    std::int64_t uid;

    bool is_sound() const
    {
        return pid > 0 && pid <= std::numeric_limits<pid_t>::max() && is_user(uid);
    }
    static constexpr auto fields()
    {
        return std::tuple{field("pid", &Process::pid, ""),
                          field("uid", &Process::uid, "Whose it was when it was first needed.")};
    }
};

struct Addition {
    Id object;
    std::int64_t tokens;
    std::optional<std::int64_t> before;

    static constexpr std::string_view type_name = "Addition";
    static constexpr std::string_view comment = "To one object.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("object", &Addition::object, ""),
            field("tokens", &Addition::tokens, "Each follower of a pulse gets as many."),
            field("before", &Addition::before,
                  "What the counter was; then it is done by one write(2), not noted in the slip."),
        };
    }
};

// What was being added to events.
struct Plan {
    static constexpr auto kind = Kind::plan;
    std::int64_t commit;
    std::vector<Addition> additions;

    static constexpr auto fields()
    {
        return std::tuple{
            field("commit", &Plan::commit, "The number of the commit that this came with."),
            field("additions", &Plan::additions, "In the order in which the slip notes them."),
        };
    }
};

} // namespace evfd::daemon::record
