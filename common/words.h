// The words of the model, and how each is spelt on the wire, on the command line and in print.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd {

enum class Kind { event };                               // What an object is.
enum class Mode { manual, automatic, semaphore, pulse }; // What a wait does to an event.
enum class Lifetime { permanent, connection };           // How long an object stays.
enum class Gather { any, all };                          // How many of the names end a wait.
enum class Right { wait, set, own };                     // What a refusal was about.
// One user's ceilings.
enum class Resource { objects, connections, subscriptions, waits, monitors };
enum class Change { present, ready, created, changed, deleted, resync }; // What a monitor tells.

template <class E, std::size_t n>
using Words = std::array<std::pair<E, std::string_view>, n>;

// Found by the type of the argument; its value does not matter. Tests hold each list to be
// complete.
constexpr auto words(Kind)
{
    return Words<Kind, 1>{{{Kind::event, "event"}}};
}
constexpr auto words(Mode)
{
    return Words<Mode, 4>{{{Mode::manual, "manual"},
                           {Mode::automatic, "auto"},
                           {Mode::semaphore, "semaphore"},
                           {Mode::pulse, "pulse"}}};
}
constexpr auto words(Lifetime)
{
    return Words<Lifetime, 2>{
        {{Lifetime::permanent, "permanent"}, {Lifetime::connection, "connection"}}};
}
constexpr auto words(Gather)
{
    return Words<Gather, 2>{{{Gather::any, "any"}, {Gather::all, "all"}}};
}
constexpr auto words(Right)
{
    return Words<Right, 3>{{{Right::wait, "wait"}, {Right::set, "set"}, {Right::own, "own"}}};
}
constexpr auto words(Resource)
{
    return Words<Resource, 5>{{{Resource::objects, "objects"},
                               {Resource::connections, "connections"},
                               {Resource::subscriptions, "subscriptions"},
                               {Resource::waits, "waits"},
                               {Resource::monitors, "monitors"}}};
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
