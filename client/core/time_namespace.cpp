#include "client/core/time_namespace.h"

#include "common/clock.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>

namespace evfd {

namespace {

// Returns whether /proc/self/timens_offsets describes the namespace of this process. After
// unshare(2) the file describes the namespace of future children instead.
bool are_offsets_effective()
{
    std::error_code error;
    const auto ours = std::filesystem::read_symlink("/proc/self/ns/time", error);
    const auto children = std::filesystem::read_symlink("/proc/self/ns/time_for_children", error);
    return !error && ours == children;
}

} // namespace

bool has_namespace_offset(Clock clock)
{
    if (is_wall_clock(clock) || !are_offsets_effective())
        return false;
    const std::string_view clock_name =
        to_clockid(clock) == CLOCK_MONOTONIC ? "monotonic" : "boottime";
    // The file does not exist if the kernel lacks time namespaces.
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> offsets{
        std::fopen("/proc/self/timens_offsets", "re"), &std::fclose};
    std::array<char, 16> name{};
    long long seconds = 0, remainder = 0; // The offset is the sum of seconds and nanoseconds.
    while (offsets &&
           std::fscanf(offsets.get(), "%15s %lld %lld", name.data(), &seconds, &remainder) == 3)
        if (name.data() == clock_name)
            return seconds != 0 || remainder != 0;
    return false;
}

} // namespace evfd
