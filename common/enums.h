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
enum class Gather { any, all };                                // How many of the names end a wait.
enum class Holder { session, process };                        // Who holds what a wait took.
enum class Right { wait, set, own, create };                   // What a refusal was about.
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
enum class Guardian { none, guard, systemd }; // Who keeps what is to outlive the daemon.
enum class Change { present, ready, created, changed, deleted, resync }; // What a monitor tells.

template <class E, std::size_t n>
using Words = std::array<std::pair<E, std::string_view>, n>;

// Found by the type of the argument; its value does not matter. Tests hold each list to be
// complete.
constexpr auto words(Kind)
{
    return Words<Kind, 2>{{{Kind::event, "event"}, {Kind::timer, "timer"}}};
}
constexpr auto words(Mode)
{
    return Words<Mode, 4>{{{Mode::manual, "manual"},
                           {Mode::automatic, "auto"},
                           {Mode::semaphore, "semaphore"},
                           {Mode::pulse, "pulse"}}};
}
constexpr auto words(Clock) // No dash: a word of an interface has none.
{
    return Words<Clock, 5>{{{Clock::realtime, "realtime"},
                            {Clock::monotonic, "monotonic"},
                            {Clock::boottime, "boottime"},
                            {Clock::realtime_alarm, "realtime_alarm"},
                            {Clock::boottime_alarm, "boottime_alarm"}}};
}
constexpr auto words(TimerState)
{
    return Words<TimerState, 4>{{{TimerState::disarmed, "disarmed"},
                                 {TimerState::armed, "armed"},
                                 {TimerState::expired, "expired"},
                                 {TimerState::cancelled, "cancelled"}}};
}
constexpr auto words(Lifetime)
{
    return Words<Lifetime, 3>{{{Lifetime::permanent, "permanent"},
                               {Lifetime::connection, "connection"},
                               {Lifetime::process, "process"}}};
}
constexpr auto words(Gather)
{
    return Words<Gather, 2>{{{Gather::any, "any"}, {Gather::all, "all"}}};
}
constexpr auto words(Holder)
{
    return Words<Holder, 2>{{{Holder::session, "session"}, {Holder::process, "process"}}};
}
constexpr auto words(Right)
{
    return Words<Right, 4>{{{Right::wait, "wait"},
                            {Right::set, "set"},
                            {Right::own, "own"},
                            {Right::create, "create"}}};
}
constexpr auto words(Resource)
{
    return Words<Resource, 9>{{{Resource::objects, "objects"},
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
constexpr auto words(Guardian)
{
    return Words<Guardian, 3>{
        {{Guardian::none, "none"}, {Guardian::guard, "guard"}, {Guardian::systemd, "systemd"}}};
}
constexpr auto words(Change)
{
    return Words<Change, 6>{{{Change::present, "present"},
                             {Change::ready, "ready"},
                             {Change::created, "created"},
                             {Change::changed, "changed"},
                             {Change::deleted, "deleted"},
                             {Change::resync, "resync"}}};
}

template <class E>
concept Worded = requires(E e) { words(e); };

template <Worded E>
constexpr std::string_view word(E value)
{
    for (const auto& [candidate, text] : words(value))
        if (candidate == value)
            return text;
    return {};
}

template <Worded E>
constexpr std::optional<E> from_word(std::string_view text)
{
    for (const auto& [candidate, spelling] : words(E{}))
        if (spelling == text)
            return candidate;
    return {};
}

} // namespace evfd
