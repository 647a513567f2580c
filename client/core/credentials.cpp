#include "client/core/credentials.h"

#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace evfd {

namespace {

std::vector<gid_t> current_groups()
{
    std::vector<gid_t> groups;
    int count = 0;
    do { // Another thread may change the groups between the two calls.
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

} // namespace evfd
