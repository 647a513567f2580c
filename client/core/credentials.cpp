#include "client/core/credentials.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

namespace evfd {

namespace {

std::vector<gid_t> current_groups()
{
    std::vector<gid_t> groups;
    int count = 0;
    do { // Another thread can change the groups between the two calls of getgroups(2).
        count = ::getgroups(0, nullptr);
        groups.resize(static_cast<std::size_t>(count > 0 ? count : 0));
        count = groups.empty() ? 0 : ::getgroups(count, groups.data());
    } while (count < 0 && errno == EINVAL);
    groups.resize(static_cast<std::size_t>(count > 0 ? count : 0));
    return groups;
}

} // namespace

Credentials Credentials::now()
{
    return {::geteuid(), ::getegid(), current_groups()};
}

bool can_change_groups()
{
    gid_t real = 0;
    gid_t effective = 0;
    gid_t saved = 0;
    if (::getresgid(&real, &effective, &saved) != 0 || real != effective || effective != saved)
        return true;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0)
        return true;
    return (sets[CAP_TO_INDEX(CAP_SETGID)].permitted & CAP_TO_MASK(CAP_SETGID)) != 0;
}

} // namespace evfd
