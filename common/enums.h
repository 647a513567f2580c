// The words of the model, and how each is spelt on the wire, on the command line and in print.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd {

enum class Kind { event, timer };                        // What an object is.
enum class Mode { manual, automatic, semaphore, pulse }; // What a wait does to an event.
// What a timer goes by. clock_getres(2), timerfd_create(2)
enum class Clock { realtime, monotonic, boottime, realtime_alarm, boottime_alarm };
enum class TimerState { disarmed, armed, expired, cancelled }; // Where a timer stands.
enum class Lifetime { permanent, connection, process };        // How long an object stays.
enum class Require { any, all };                               // How many of the names end a wait.
enum class Holder { session, process };                        // Who holds what a wait took.
enum class Permission { wait, set, own, create };              // What a refusal was about.
// What one user may have so much of.
enum class Resource {
    objects,
    connections,
    subscriptions,
    waits,
    monitors,
    ticks,              // Expirations of timers that set events, a second.
    unread_bytes,       // Of answers that the user's clients did not take yet.
    unread_descriptors, // Handed out by them.
    calls,              // Answered in one turn of the daemon's loop.
};
enum class FdStore { none, supervisor, systemd }; // Who keeps what is to outlive the daemon.
enum class Change { present, ready, created, changed, deleted, resync }; // What a monitor tells.

template <class E, std::size_t n>
using EnumNames = std::array<std::pair<E, std::string_view>, n>;

// Found by the type of the argument; its value does not matter. Tests hold each list to be
// complete.
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
constexpr auto enum_names(Clock) // No dash: a word of an interface has none.
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
                                   {Lifetime::connection, "connection"},
                                   {Lifetime::process, "process"}}};
}
constexpr auto enum_names(Require)
{
    return EnumNames<Require, 2>{{{Require::any, "any"}, {Require::all, "all"}}};
}
constexpr auto enum_names(Holder)
{
    return EnumNames<Holder, 2>{{{Holder::session, "session"}, {Holder::process, "process"}}};
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
    return EnumNames<Resource, 9>{{{Resource::objects, "objects"},
                                   {Resource::connections, "connections"},
                                   {Resource::subscriptions, "subscriptions"},
                                   {Resource::waits, "waits"},
                                   {Resource::monitors, "monitors"},
                                   {Resource::ticks, "ticksPerSecond"},
                                   {Resource::unread_bytes, "unreadBytes"},
                                   {Resource::unread_descriptors, "unreadDescriptors"},
                                   {Resource::calls, "callsPerTurn"}}};
}
// An enum with many words is a type of its own in the interface text: its name, and what it is.
constexpr std::pair<std::string_view, std::string_view> named_type(Resource)
{
    return {"Resource", "What each user may have so much of; callsPerTurn: calls that are answered "
                        "in one turn of the daemon's loop, the rest comes in the next."};
}
constexpr auto enum_names(FdStore)
{
    return EnumNames<FdStore, 3>{
        {{FdStore::none, "none"}, {FdStore::supervisor, "guard"}, {FdStore::systemd, "systemd"}}};
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
