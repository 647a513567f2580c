// Lists all methods and errors of the protocol. Each of them is a struct in another file of this
// folder. The reply to a method is its nested type Reply. The decoder, the encoder and the
// published interface text are derived from these lists and structs.
#pragma once

#include "common/codec.h"
#include "common/protocol/errors.h"
#include "common/protocol/event.h"
#include "common/protocol/object.h"
#include "common/protocol/open.h"
#include "common/protocol/query.h"
#include "common/protocol/session.h"
#include "common/protocol/status.h"
#include "common/protocol/timer.h"
#include "common/protocol/varlink_service.h"
#include "common/protocol/wait.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <type_traits>

namespace evfd::protocol {

// Flags that the struct of a method can define:
//
// - `streams`: the call needs the flag `more` and gets any number of replies.
// - `counts`: the call changes something. A session counts these calls, so that the daemon executes
//   a call only once even if the client repeats it.
// - `once`: the effect of executing the call twice differs from the effect of executing it once.
//   Without a session, a client must not repeat the call automatically.
template <class Request>
inline constexpr bool is_streaming = requires { requires Request::streams; };
template <class Request>
inline constexpr bool is_counted = requires { requires Request::counts; };
template <class Request>
inline constexpr bool is_repeatable = !requires { requires Request::once; };

struct Evfdd {
    static constexpr std::string_view name = "io.evfdd";
    static constexpr std::string_view comment =
        "Named events and timers for Linux, handed out as file descriptors.";
    // The methods, in the order in which a new user needs them.
    using Methods = TypeList<CreateEvent, Arm, Disarm, Set, Clear, Wait, Join, Release, Open,
                             Unsubscribe, Show, ListObjects, Monitor, Delete, SetPermissions,
                             Status, Quotas, Metrics, Resume, Acknowledge>;
    using Errors =
        TypeList<NoSuchName, NameTaken, Replaced, WrongKind, NotPermitted, QuotaExceeded,
                 OutOfDescriptors, NoSuchSession, NoSuchHold, NoSuchProcess, NoCapability,
                 TooManyTokens, TimedOut, Deleted, Cancelled, SystemFailure>;
};

using Interfaces = TypeList<Evfdd, VarlinkService>; // Sorted by name.

template <class T, class... Ts>
consteval bool is_among(TypeList<Ts...>)
{
    return (std::is_same_v<T, Ts> || ...);
}

template <class T>
consteval std::string_view own_name()
{
    if constexpr (requires { T::method; })
        return T::method;
    else
        return T::error;
}

template <class T>
inline constexpr auto full_name_text = [] {
    constexpr bool is_of_varlink =
        is_among<T>(VarlinkService::Methods{}) || is_among<T>(VarlinkService::Errors{});
    constexpr std::string_view interface = is_of_varlink ? VarlinkService::name : Evfdd::name;
    std::array<char, interface.size() + 1 + own_name<T>().size()> text{};
    auto end = std::ranges::copy(interface, text.begin()).out;
    *end++ = '.';
    std::ranges::copy(own_name<T>(), end);
    return text;
}();

// Returns the name with its interface: "io.evfdd.Open", "io.evfdd.NoSuchName".
template <class T>
constexpr std::string_view full_name()
{
    return {full_name_text<T>.data(), full_name_text<T>.size()};
}

} // namespace evfd::protocol
