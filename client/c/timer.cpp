// Implements the functions of evfd.h that arm and disarm timers.
#include "client/c/with_handle.h"
#include "evfd.h"

using namespace evfd::c;

int evfd_arm(int fd, const evfd_schedule* input)
{
    return to_c_result([&] {
        return with_timer(fd, [&](const auto& timer) -> Result<void> {
            const auto schedule = to_schedule(input);
            if (!schedule)
                return std::unexpected(schedule.error());
            return timer.arm(*schedule);
        });
    });
}

int evfd_disarm(int fd)
{
    return to_c_result(
        [&] { return with_timer(fd, [](const auto& timer) { return timer.disarm(); }); });
}

int64_t evfd_remaining(int fd)
{
    return to_c_result<std::int64_t>([&] {
        return with_timer(fd, [](const auto& timer) -> Result<std::int64_t> {
            const auto left = timer.remaining();
            if (!left)
                return std::unexpected(left.error());
            return left->value_or(evfd::nanoseconds{0}).count();
        });
    });
}

int evfd_arm_name(const char* name, const evfd_schedule* input, int flags, mode_t bits)
{
    return evfd_client_arm(nullptr, name, input, flags, bits);
}

int evfd_disarm_name(const char* name)
{
    return evfd_client_disarm(nullptr, name);
}

int evfd_client_arm(evfd_client* of, const char* name, const evfd_schedule* input, int flags,
                    mode_t bits)
{
    return to_c_result([&] {
        return with_name(of, name, [&](const auto& client, const auto& one) -> Result<bool> {
            if (const auto known = check_flags(flags, EVFD_TEMPORARY); !known)
                return std::unexpected(known.error());
            const auto permissions = permissions_under_umask(bits);
            if (!permissions)
                return std::unexpected(permissions.error());
            const auto schedule = to_schedule(input);
            if (!schedule)
                return std::unexpected(schedule.error());
            const auto armed =
                client.arm(one.front(), *schedule,
                           {.permissions = *permissions, .lifetime = to_lifetime(flags)});
            return to_result(armed ? evfd::Expected<bool>{armed->created}
                                   : std::unexpected(armed.error()));
        });
    });
}

int evfd_client_disarm(evfd_client* of, const char* name)
{
    return to_c_result([&] {
        return with_name_of_kind(
            of, name, [](const auto& client, const auto& one) { return client.disarm(one); });
    });
}
