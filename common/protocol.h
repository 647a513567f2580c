// Every message of the wire, each stated once: decoder, encoder and the published interface text
// come from these lists. A method's reply is its nested Reply.
#pragma once

#include "common/codec.h"
#include "common/pattern.h"
#include "common/protocol_errors.h"
#include "common/varlink_service.h"

#include <limits>
#include <string>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

// A method may say of itself: `streams`, it needs `more` and answers with any number of replies;
// `counts`, it changes something, so a session counts it, and answers it once; `once`, without a
// session doing it twice is not as good as doing it once, so a client must not repeat it unasked.
template <class Request>
inline constexpr bool is_streaming = requires { requires Request::streams; };
template <class Request>
inline constexpr bool is_counted = requires { requires Request::counts; };
template <class Request>
inline constexpr bool is_repeatable = !requires { requires Request::once; };

using Uid = std::int64_t;
using Tokens = Whole<1, max_tokens_per_set>;
using InitialCount = Whole<0, max_initial_count>;
using Count = Whole<1, std::numeric_limits<std::int64_t>::max()>;

// Types.

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
    Rights rights;
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
            field("rights", &Object::rights, "Who may wait and set, as in CreateEvent."),
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
    std::optional<Handed> file_descriptor;
    std::optional<std::string> subscription;

    static constexpr std::string_view type_name = "Opened";
    static constexpr std::string_view comment = "What Open hands over for one name.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("kind", &Opened::kind, "What it is."),
            field("mode", &Opened::mode,
                  "What a wait does to it, as in CreateEvent; absent for a timer."),
            field("mayWait", &Opened::may_wait, "Whether the caller may wait for it."),
            field("maySet", &Opened::may_set,
                  "Whether the caller may set and clear it, or arm and disarm it."),
            field("fileDescriptor", &Opened::file_descriptor,
                  "Index of its descriptor among those that come with this reply; absent where the "
                  "caller may not wait. With both rights: the eventfd itself. With the right to "
                  "wait only: an epoll descriptor that is readable while the event is set; then "
                  "take from an auto event or a semaphore with Wait. For a pulse: the caller's own "
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

// Methods.

struct Resume {
    std::string session;
    std::int64_t calls;

    struct Reply {
        bool is_certain;
        static constexpr auto fields()
        {
            return std::tuple{
                field("isCertain", &Reply::is_certain,
                      "False if the daemon knows nothing of what was done before it started: then "
                      "a call that was under way may have been done.")};
        }
    };

    static constexpr std::string_view method = "Resume";
    static constexpr std::string_view comment =
        "Gives the connection a session that outlives the daemon. When the daemon was killed or "
        "restarted, call this first on a new connection: what belonged to the lost one (what ends "
        "with it, subscriptions) belongs to the new one, and the call that was under way can be "
        "sent again: it is done once, and answered as it was. To be called before any other call "
        "that the session counts: CreateEvent, Arm, Disarm, Open, Unsubscribe, Acknowledge, Set, "
        "Clear, Wait, Delete and SetRights, unless oneway. What nobody takes up in time ends.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("session", &Resume::session,
                  "128 random bits, chosen by the caller, as 32 hexadecimal digits. Good only for "
                  "the user who began it."),
            field("calls", &Resume::calls,
                  "How many answers to counted calls came on it so far; 0 begins a session."),
        };
    }
};

struct CreateEvent {
    Name name;
    std::optional<Mode> mode = {};
    std::optional<InitialCount> initial = {};
    std::optional<Rights> rights = {};
    std::optional<Lifetime> lifetime = {};
    std::optional<bool> if_missing = {};

    struct Reply {
        bool created;
        static constexpr auto fields()
        {
            return std::tuple{field("created", &Reply::created,
                                    "False if it was there already, which only ifMissing allows.")};
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "CreateEvent";
    static constexpr std::string_view comment = "Makes an event; the caller is its owner.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &CreateEvent::name,
                  "1 to 255 bytes: segments of [A-Za-z0-9._@:+-] joined by single slashes, none of "
                  "them \".\" or \"..\"."),
            field("mode", &CreateEvent::mode,
                  "What a wait does to it. manual (if absent): looks and takes nothing; a set "
                  "lasts until a clear and releases all who wait, even if it is cleared at once. "
                  "auto: takes the set, so one is released; sets before that are one. semaphore: "
                  "takes one token; a set adds some. pulse: a set reaches every subscriber of that "
                  "moment, once, and is counted in each one's own descriptor."),
            field("initial", &CreateEvent::initial,
                  "What its counter starts with, 0 if absent: set from the start if it is more. At "
                  "most 4294967295, and 0 for a pulse."),
            field("rights", &CreateEvent::rights,
                  "Octal, like a file's: r = may wait, w = may set and clear, for owner, group, "
                  "others. \"0644\" if absent. Owner and root may change the rights and delete, "
                  "whatever they are."),
            field("lifetime", &CreateEvent::lifetime,
                  "permanent (if absent): until it is deleted. connection: until the connection of "
                  "this call closes."),
            field("ifMissing", &CreateEvent::if_missing,
                  "If true, an event of this mode that is there already is as good."),
        };
    }
};

struct Arm {
    Name name;
    std::optional<Clock> clock = {};
    std::optional<nanoseconds> first = {};
    std::optional<nanoseconds> after = {};
    std::optional<nanoseconds> interval = {};
    std::optional<bool> cancel_on_clock_change = {};
    std::optional<Name> sets = {};
    std::optional<Rights> rights = {};
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
                  "The event that is set at each expiry; the caller must be allowed to. What was "
                  "missed while the daemon was stopped is made up for: a semaphore or a pulse gets "
                  "as many."),
            field("rights", &Arm::rights,
                  "For a new timer, as in CreateEvent: r = may wait, w = may arm and disarm."),
            field("lifetime", &Arm::lifetime, "For a new timer, as in CreateEvent."),
        };
    }
};

struct Disarm {
    Names names;

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

struct Open {
    Names names;

    struct Reply {
        std::vector<Opened> objects;
        static constexpr auto fields()
        {
            return std::tuple{
                field("objects", &Reply::objects, "One for each name, in the order of the names.")};
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Open";
    static constexpr std::string_view comment =
        "Hands over what the caller may have of each object: a descriptor of its own. After that "
        "waiting, setting and clearing need no daemon. All or nothing.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Open::names, "1 to 253 names, none twice.")};
    }
};

struct Unsubscribe {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Unsubscribe";
    static constexpr std::string_view comment =
        "Ends a subscription of this connection: its descriptor no longer follows the name.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("subscription", &Unsubscribe::subscription, "As Open returned it.")};
    }
};

struct Acknowledge {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Acknowledge";
    static constexpr std::string_view comment =
        "To be called after a read(2) of a timer's descriptor said ECANCELED: the wall clock was "
        "set, and the kernel lets the descriptor go on. Now that this was heard it is disarmed as "
        "the timer is, unless that was armed anew since.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("subscription", &Acknowledge::subscription, "As Open returned it.")};
    }
};

struct Set {
    Names names;
    std::optional<Tokens> count = {};

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Set";
    static constexpr std::string_view comment =
        "Sets events, as CreateEvent says of each mode. All or nothing.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("names", &Set::names, "1 to 253 names, none twice."),
            field("count", &Set::count,
                  "How many tokens a semaphore gets and how many pulses are counted, 1 if absent; "
                  "one set is one for manual and auto. At most 16384, for all names and "
                  "subscriptions of the call together."),
        };
    }
};

struct Clear {
    Names names;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Clear";
    static constexpr std::string_view comment =
        "Clears events: no longer set, no token left. A pulse has nothing to clear.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Clear::names, "1 to 253 names, none twice.")};
    }
};

struct Show {
    Name name;

    struct Reply {
        Object object;
        static constexpr auto fields()
        {
            return std::tuple{field("object", &Reply::object, "As it is now.")};
        }
    };

    static constexpr std::string_view method = "Show";
    static constexpr std::string_view comment = "Tells what one object is and what state it is in.";
    static constexpr auto fields() { return std::tuple{field("name", &Show::name, "Which.")}; }
};

struct ListObjects {
    std::optional<Pattern> pattern = {};

    struct Reply {
        std::vector<Object> objects;
        static constexpr auto fields()
        {
            return std::tuple{
                field("objects", &Reply::objects, "Some of them, in the order of their names.")};
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "List";
    static constexpr std::string_view comment =
        "Tells of all objects, some with each reply. Call it with `more`.";
    static constexpr auto fields()
    {
        return std::tuple{field("pattern", &ListObjects::pattern,
                                "Only names that this glob matches; * and ? stop at a slash.")};
    }
};

struct Wait {
    Names names;
    std::optional<Gather> gather = {};
    std::optional<nanoseconds> timeout = {};
    std::optional<bool> existing = {};
    std::optional<Count> count = {};

    struct Reply {
        std::vector<Fired> fired;
        static constexpr auto fields()
        {
            return std::tuple{field(
                "fired", &Reply::fired,
                "What ended the wait: one name for any; for all each, in the order of the names.")};
        }
    };

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Wait";
    static constexpr std::string_view comment =
        "Waits for events and timers by name and answers when the wait is over; names that are not "
        "there yet included. For a timer that is its next expiry, or an expiry before if there is "
        "no other to come. Looking and going to sleep are one step, so no set falls between. Those "
        "who wait to take are served in the order in which they came. A wait for all takes from "
        "all auto events and semaphores at once or from none; that a manual event was set, a pulse "
        "came or a timer expired since the wait began is enough. The wait ends with the "
        "connection.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("names", &Wait::names, "1 to 253 names, none twice."),
            field("gather", &Wait::gather,
                  "Whether any of them ends the wait, or all must; all if absent."),
            field("timeoutNSec", &Wait::timeout,
                  "After how long to answer TimedOut, in nanoseconds; 0 looks once; for ever if "
                  "absent."),
            field("existing", &Wait::existing,
                  "If true, answer NoSuchName at once for a name that is not there."),
            field("count", &Wait::count,
                  "How many expirations or pulses it takes, since the wait began; 1 if absent. "
                  "More than 1 only for timers and pulses."),
        };
    }
};

struct Delete {
    Names names;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Delete";
    static constexpr std::string_view comment =
        "Deletes objects: for their owner and root. Who waits by name hears Deleted; descriptors "
        "that were handed over stay with their holders but no longer belong to the name. All or "
        "nothing.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Delete::names, "1 to 253 names, none twice.")};
    }
};

struct SetRights {
    Name name;
    Rights rights;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "SetRights";
    static constexpr std::string_view comment =
        "Changes an object's rights: for its owner and root. Whoever has a descriptor keeps it, "
        "and who waits by name already goes on.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &SetRights::name, "Which."),
                          field("rights", &SetRights::rights, "As in CreateEvent.")};
    }
};

struct Monitor {
    std::optional<Pattern> pattern = {};

    struct Reply {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name;
        std::optional<Object> object;
        static constexpr auto fields()
        {
            return std::tuple{
                field("sequence", &Reply::sequence, "Counts the replies, from 1."),
                field("change", &Reply::change,
                      "present: it is there, for each object at first; ready: those were all, "
                      "changes follow; created, changed, deleted: what happened to it since it was "
                      "last told of; resync: too much was left unread, forget all that was told: "
                      "present and ready follow again."),
                field("name", &Reply::name, "Of what; absent for ready and resync."),
                field("object", &Reply::object,
                      "As it is now; absent for deleted, ready and resync."),
            };
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Monitor";
    static constexpr std::string_view comment =
        "Tells the state of all objects and then every change, sets and clears done on descriptors "
        "included, until the connection closes. Who reads slowly hears of several changes of an "
        "object as one. Sets and clears are told only to those who may wait. Call it with `more`.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("pattern", &Monitor::pattern, "Only names that this glob matches.")};
    }
};

struct Status {
    struct Reply {
        std::string version;
        std::int64_t pid;
        WallTime started_at;
        std::int64_t objects;
        std::int64_t connections;
        std::int64_t waits;
        std::int64_t monitors;
        std::int64_t subscriptions;
        std::int64_t descriptors;
        std::int64_t descriptor_limit;
        Guardian guardian;
        std::int64_t waits_for_sessions;
        std::int64_t parked;
        std::int64_t journal_bytes;
        bool can_keep;
        static constexpr auto fields()
        {
            return std::tuple{
                field("version", &Reply::version, "The daemon's."),
                field("pid", &Reply::pid, "Its process."),
                field("startedNSec", &Reply::started_at, "When it started, as createdNSec."),
                field("objects", &Reply::objects, "How many there are."),
                field("connections", &Reply::connections, "How many clients are connected."),
                field("waits", &Reply::waits, "How many Wait calls are waiting."),
                field("monitors", &Reply::monitors, "How many Monitor calls are running."),
                field("subscriptions", &Reply::subscriptions,
                      "How many private descriptors are followed."),
                field("descriptors", &Reply::descriptors,
                      "How many descriptors the daemon has open."),
                field("descriptorLimit", &Reply::descriptor_limit, "How many it can have."),
                field("guardian", &Reply::guardian,
                      "Who keeps what is to outlive the daemon; none: a crash loses all objects."),
                field("waitsForSessions", &Reply::waits_for_sessions,
                      "How many sessions of before its start were not taken up again yet."),
                field("parked", &Reply::parked, "How many descriptors are kept so."),
                field("journalBytes", &Reply::journal_bytes,
                      "How long the journal is that tells of them."),
                field("canKeep", &Reply::can_keep,
                      "Whether all that is done is kept; false if memory for the journal ran out."),
            };
        }
    };

    static constexpr std::string_view method = "Status";
    static constexpr std::string_view comment = "Tells how the daemon is.";
    static constexpr auto fields() { return std::tuple{}; }
};

struct Quotas {
    struct Quota {
        Resource quota;
        std::int64_t used;
        std::int64_t limit;

        static constexpr std::string_view type_name = "Quota";
        static constexpr std::string_view comment = "What one user has of one thing.";
        static constexpr auto fields()
        {
            return std::tuple{field("quota", &Quota::quota, "Of what."),
                              field("used", &Quota::used, "How much the user has."),
                              field("limit", &Quota::limit, "How much it may have.")};
        }
    };

    struct User {
        Uid uid;
        std::vector<Quota> quotas;

        static constexpr std::string_view type_name = "User";
        static constexpr std::string_view comment = "A user who has anything of the daemon.";
        static constexpr auto fields()
        {
            return std::tuple{field("uid", &User::uid, "Who."),
                              field("quotas", &User::quotas, "One for each thing there is.")};
        }
    };

    struct Reply {
        std::vector<User> users;
        static constexpr auto fields()
        {
            return std::tuple{
                field("users", &Reply::users, "Some of them, in the order of their uids.")};
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Quotas";
    static constexpr std::string_view comment = "Tells what each user has and may have: root and "
                                                "the daemon's own user of everybody, others "
                                                "of themselves. Call it with `more`.";
    static constexpr auto fields() { return std::tuple{}; }
};

struct Metrics {
    struct Reply {
        std::string text;
        static constexpr auto fields()
        {
            return std::tuple{field("text", &Reply::text, "OpenMetrics text, version 1.0.0.")};
        }
    };

    static constexpr std::string_view method = "Metrics";
    static constexpr std::string_view comment =
        "Tells what the daemon counted of itself since its start, for monitoring systems.";
    static constexpr auto fields() { return std::tuple{}; }
};

// The interface.

struct Evfdd {
    static constexpr std::string_view name = "io.evfdd";
    static constexpr std::string_view comment =
        "Named events and timers for Linux, handed out as file descriptors.";
    using Methods =
        List<Resume, CreateEvent, Arm, Disarm, Open, Unsubscribe, Acknowledge, Set, Clear, Show,
             ListObjects, Wait, Delete, SetRights, Monitor, Status, Quotas, Metrics>;
    using Errors = List<NoSuchName, NameTaken, WrongKind, NotPermitted, QuotaExceeded,
                        OutOfDescriptors, NoSuchSession, NoCapability, TooManyTokens, TimedOut,
                        Deleted, Cancelled, SystemFailure>;
};

using Interfaces = List<Evfdd, VarlinkService>; // Sorted by name.

// Which interface a method or an error belongs to.
template <class T, class Interface>
struct ListedIn;
template <class T, class Interface>
    requires requires { T::method; }
struct ListedIn<T, Interface> {
    template <class... Ms>
    static consteval bool among(List<Ms...>)
    {
        return (std::is_same_v<T, Ms> || ...);
    }
    static constexpr bool value = among(typename Interface::Methods{});
};
template <class T, class Interface>
    requires requires { T::error; }
struct ListedIn<T, Interface> {
    template <class... Es>
    static consteval bool among(List<Es...>)
    {
        return (std::is_same_v<T, Es> || ...);
    }
    static constexpr bool value = among(typename Interface::Errors{});
};

// "io.evfdd.Open", "io.evfdd.NoSuchName".
template <class T>
std::string full_name()
{
    const std::string_view interface =
        ListedIn<T, VarlinkService>::value ? VarlinkService::name : Evfdd::name;
    if constexpr (requires { T::method; })
        return std::string{interface} + "." + std::string{T::method};
    else
        return std::string{interface} + "." + std::string{T::error};
}

} // namespace evfd::protocol
