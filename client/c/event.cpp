// Implements the functions of evfd.h that set and clear events.
#include "client/c/fast_path.h"
#include "client/c/with_handle.h"
#include "evfd.h"

using namespace evfd::c;

int evfd_set(int fd)
{
    if (handle_table.fast_path(fd).can_add && add_one(fd))
        return 0;
    return evfd_add(fd, 1);
}

int evfd_add(int fd, int64_t count)
{
    return to_c_result(
        [&] { return with_event(fd, [&](const auto& event) { return event.set(count); }); });
}

int evfd_clear(int fd)
{
    if (handle_table.fast_path(fd).can_clear)
        if (const auto consumed = consume(fd); consumed > 0 && consumed <= max_plausible_count)
            return 0;
    return to_c_result(
        [&] { return with_event(fd, [](const auto& event) { return event.clear(); }); });
}

int evfd_is_set(int fd)
{
    if (const auto fast_path = handle_table.fast_path(fd); fast_path.can_poll)
        if (const auto seen = poll_now(fd, fast_path); seen != PollResult::foreign)
            return seen == PollResult::set ? 1 : 0;
    return to_c_result([&] {
        return with_handle(fd, [](const Handle& handle) -> Result<bool> {
            if (const auto is_ours = handle_table.verify(handle); !is_ours)
                return std::unexpected(is_ours.error());
            return to_result(handle.waitable().is_set());
        });
    });
}

int evfd_set_name(const char* name)
{
    return evfd_client_add(nullptr, name, 1);
}

int evfd_add_name(const char* name, int64_t count)
{
    return evfd_client_add(nullptr, name, count);
}

int evfd_set_name_oneway(const char* name)
{
    return evfd_client_add_oneway(nullptr, name, 1);
}

int evfd_add_name_oneway(const char* name, int64_t count)
{
    return evfd_client_add_oneway(nullptr, name, count);
}

int evfd_clear_name(const char* name)
{
    return evfd_client_clear(nullptr, name);
}

int evfd_is_set_name(const char* name)
{
    return evfd_client_is_set(nullptr, name);
}

int evfd_client_set(evfd_client* of, const char* name)
{
    return evfd_client_add(of, name, 1);
}

int evfd_client_add(evfd_client* of, const char* name, int64_t count)
{
    return to_c_result([&] {
        return with_name_of_kind(
            of, name, [&](const auto& client, const auto& one) { return client.set(one, count); });
    });
}

int evfd_client_set_oneway(evfd_client* of, const char* name)
{
    return evfd_client_add_oneway(of, name, 1);
}

int evfd_client_add_oneway(evfd_client* of, const char* name, int64_t count)
{
    return to_c_result([&] {
        return with_name(of, name, [&](const auto& client, const auto& one) {
            return client.set_oneway(one, count);
        });
    });
}

int evfd_client_clear(evfd_client* of, const char* name)
{
    return to_c_result([&] {
        return with_name_of_kind(
            of, name, [](const auto& client, const auto& one) { return client.clear(one); });
    });
}

int evfd_client_is_set(evfd_client* of, const char* name)
{
    return to_c_result([&] {
        return with_name(of, name, [](const auto& client, const auto& one) -> Result<bool> {
            const auto object = client.show(one.front());
            if (!object)
                return std::unexpected(object.error());
            if (object->is_set)
                return *object->is_set;
            return std::unexpected(Failure{
                EACCES, "you may not wait for '" + one.front() +
                            "', nor ask whether it is set; ask its owner for the r permission"});
        });
    });
}
