// The enums of the model, and their names on the wire, on the command line and in print.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd {

// The journal has the numbers of Mode, Clock and TimerState: new enumerators go to the end.

enum class Kind { event, timer }; // The kind of an object.
// The mode of an event. It determines how a set and a wait change the event.
enum class Mode : std::uint8_t { manual, automatic, semaphore, pulse };
// The clock of a timer: see clock_getres(2) and timerfd_create(2).
enum class Clock { realtime, monotonic, boottime, realtime_alarm, boottime_alarm };
enum class TimerState { disarmed, armed, expired, cancelled };      // The state of a timer.
enum class Lifetime : std::uint8_t { permanent, session, process }; // The lifetime of an object.
enum class Require { any, all };                  // Whether a wait requires one item or all.
enum class Until { set, clear };                  // The state that ends a wait for an object.
enum class Holder { session, process };           // The holder of the tokens that a wait consumed.
enum class Permission { wait, set, own, create }; // An operation that can be denied.
// Resources that are limited for each user.
enum class Resource {
    objects,
    opened_events, // Events whose eventfd or mirror was made by an open of the user.
    connections,
    subscriptions,
    waits,
    monitors,
    ticks,              // Expirations per second of timers that set events.
    unread_bytes,       // Bytes of replies that the user's clients have not read yet.
    unread_descriptors, // Descriptors in replies that the user's clients have not read yet.
    calls,              // Calls answered in one iteration of the daemon's loop.
};
// The process that holds the state store's descriptors while the daemon does not run.
enum class FdStore { none, supervisor, systemd };
// The kinds of a monitor's reports.
enum class Change { present, ready, created, changed, deleted, resync };

template <class E, std::size_t n>
using EnumNames = std::array<std::pair<E, std::string_view>, n>;

// Returns the enumerators with their names. The argument selects the enum by its type; its value
// does not matter. Tests check that each list is complete.
constexpr auto enum_names(Kind)
{
    return EnumNames<Kind, 2>{{{Kind::event, "event"}, {Kind::timer, "timer"}}};
}
constexpr auto enum_names(Mode)
{
    return EnumNames<Mode, 4>{{{Mode::manual, "manual"},
                               {Mode::automatic, "auto"},
                               {Mode::semaphore, "semaphore"},
                               {Mode::pulse, "pulse"}}};
}
// The names have underscores, because Varlink names contain no dash.
constexpr auto enum_names(Clock)
{
    return EnumNames<Clock, 5>{{{Clock::realtime, "realtime"},
                                {Clock::monotonic, "monotonic"},
                                {Clock::boottime, "boottime"},
                                {Clock::realtime_alarm, "realtime_alarm"},
                                {Clock::boottime_alarm, "boottime_alarm"}}};
}
constexpr auto enum_names(TimerState)
{
    return EnumNames<TimerState, 4>{{{TimerState::disarmed, "disarmed"},
                                     {TimerState::armed, "armed"},
                                     {TimerState::expired, "expired"},
                                     {TimerState::cancelled, "cancelled"}}};
}
constexpr auto enum_names(Lifetime)
{
    return EnumNames<Lifetime, 3>{{{Lifetime::permanent, "permanent"},
                                   {Lifetime::session, "session"},
                                   {Lifetime::process, "process"}}};
}
constexpr auto enum_names(Require)
{
    return EnumNames<Require, 2>{{{Require::any, "any"}, {Require::all, "all"}}};
}
constexpr auto enum_names(Until)
{
    return EnumNames<Until, 2>{{{Until::set, "set"}, {Until::clear, "clear"}}};
}
constexpr auto enum_names(Holder)
{
    return EnumNames<Holder, 2>{{{Holder::process, "process"}, {Holder::session, "session"}}};
}
constexpr auto enum_names(Permission)
{
    return EnumNames<Permission, 4>{{{Permission::wait, "wait"},
                                     {Permission::set, "set"},
                                     {Permission::own, "own"},
                                     {Permission::create, "create"}}};
}
constexpr auto enum_names(Resource)
{
    return EnumNames<Resource, 10>{{{Resource::objects, "objects"},
                                    {Resource::opened_events, "openedEvents"},
                                    {Resource::connections, "connections"},
                                    {Resource::subscriptions, "subscriptions"},
                                    {Resource::waits, "waits"},
                                    {Resource::monitors, "monitors"},
                                    {Resource::ticks, "ticksPerSecond"},
                                    {Resource::unread_bytes, "unreadBytes"},
                                    {Resource::unread_descriptors, "unreadDescriptors"},
                                    {Resource::calls, "callsPerIteration"}}};
}
// In the interface text, an enum with many values is a named type. Returns the name of this type
// and its comment.
constexpr std::pair<std::string_view, std::string_view> named_type(Resource)
{
    return {"Resource",
            "A resource that is limited for each user. openedEvents: events that the user was "
            "the first to open. waits: names waited for and tokens held. ticksPerSecond: "
            "expirations of timers that set events. "
            "unreadBytes, unreadDescriptors: of replies that the user's clients have "
            "not read. callsPerIteration: calls answered in one iteration of the "
            "daemon's loop; further calls are answered in the next one."};
}
constexpr auto enum_names(FdStore)
{
    return EnumNames<FdStore, 3>{{{FdStore::none, "none"},
                                  {FdStore::supervisor, "supervisor"},
                                  {FdStore::systemd, "systemd"}}};
}
constexpr auto enum_names(Change)
{
    return EnumNames<Change, 6>{{{Change::present, "present"},
                                 {Change::ready, "ready"},
                                 {Change::created, "created"},
                                 {Change::changed, "changed"},
                                 {Change::deleted, "deleted"},
                                 {Change::resync, "resync"}}};
}

template <class E>
concept NamedEnum = requires(E e) { enum_names(e); };

template <NamedEnum E>
constexpr std::string_view to_string(E value)
{
    for (const auto& [candidate, text] : enum_names(value))
        if (candidate == value)
            return text;
    return {};
}

template <NamedEnum E>
constexpr std::optional<E> parse_enum(std::string_view text)
{
    for (const auto& [candidate, spelling] : enum_names(E{}))
        if (spelling == text)
            return candidate;
    return {};
}

} // namespace evfd
