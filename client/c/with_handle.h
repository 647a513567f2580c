// Helpers for the functions of evfd.h. with_handle(), with_event() and with_timer() look up the
// object of a descriptor, and pass it to `call`. with_name(), with_names() and
// with_name_of_kind() check the names, and pass the client and the names to `call`.
#pragma once

#include "client/c/arguments.h"
#include "client/c/handle_table.h"

#include <string>
#include <type_traits>

namespace evfd::c {

template <class... Subject, class Call>
auto call_to_result(const Call& call, const Subject&... subject)
    -> Result<typename std::invoke_result_t<const Call&, const Subject&...>::value_type>
{
    return to_result(call(subject...));
}

template <class Call>
auto with_handle(int fd, const Call& call)
    -> decltype(call_to_result(call, std::declval<const Handle&>()))
{
    const auto handle = handle_table.find(fd);
    if (!handle)
        return std::unexpected(handle.error());
    return call_to_result(call, **handle);
}

template <class Call>
auto with_event(int fd, const Call& call)
    -> decltype(call_to_result(call, std::declval<const Event&>()))
{
    const auto handle = handle_table.find(fd);
    if (!handle)
        return std::unexpected(handle.error());
    const auto event = (*handle)->event();
    if (!event)
        return std::unexpected(event.error());
    return call_to_result(call, **event);
}

template <class Call>
auto with_timer(int fd, const Call& call)
    -> decltype(call_to_result(call, std::declval<const Timer&>()))
{
    const auto handle = handle_table.find(fd);
    if (!handle)
        return std::unexpected(handle.error());
    const auto timer = (*handle)->timer();
    if (!timer)
        return std::unexpected(timer.error());
    return call_to_result(call, **timer);
}

template <class Call>
auto with_names(const evfd_client* of, const char* const* names, std::size_t count,
                const Call& call)
    -> decltype(call_to_result(call, std::declval<const Client&>(),
                               std::declval<const std::vector<std::string>&>()))
{
    const auto texts = to_texts(names, count);
    if (!texts)
        return std::unexpected(texts.error());
    const auto client = handle_table.client(of);
    if (!client)
        return std::unexpected(client.error());
    return call_to_result(call, *client, *texts);
}

template <class Call>
auto with_name(const evfd_client* of, const char* name, const Call& call)
    -> decltype(call_to_result(call, std::declval<const Client&>(),
                               std::declval<const std::vector<std::string>&>()))
{
    return with_names(of, &name, 1, call);
}

// Like with_name(), for a call that is valid only for an event, or only for a timer. Fails with
// EINVAL for an object of another kind, as with_event() and with_timer() do.
template <class Call>
auto with_name_of_kind(const evfd_client* of, const char* name, const Call& call)
    -> decltype(with_name(of, name, call))
{
    auto result = with_name(of, name, call);
    if (!result && result.error().error == EBUSY)
        result.error().error = EINVAL;
    return result;
}

} // namespace evfd::c
