#include "daemon/base/open_descriptors.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <iterator>
#include <optional>
#include <system_error>

namespace evfd::daemon {

namespace {

constexpr auto directory = "/proc/self/fd";

// Returns the size of /proc/self/fd, which is the number of open descriptors since Linux 6.2.
// Returns nothing on an older kernel. proc(5)
std::optional<std::int64_t> count_from_stat()
{
    struct stat status{};
    if (::stat(directory, &status) < 0 || status.st_size == 0)
        return {};
    return status.st_size;
}

std::int64_t count_by_listing()
{
    std::error_code failed;
    const std::filesystem::directory_iterator open{directory, failed};
    // Subtracts 1 for the iterator's own descriptor.
    return failed ? 0 : std::distance(begin(open), end(open)) - 1;
}

} // namespace

std::int64_t descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::int64_t>(limit.rlim_cur);
}

void OpenDescriptors::begin(std::int64_t known)
{
    others_ = count_from_stat() ? 0 : count_by_listing() - known;
}

std::int64_t OpenDescriptors::count(std::int64_t known) const
{
    return count_from_stat().value_or(others_ + known);
}

} // namespace evfd::daemon
