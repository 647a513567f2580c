// What C hands over, as the library has it.
#pragma once

#include "client/c/error.h"
#include "common/clock.h"
#include "common/enums.h"
#include "common/permissions.h"
#include "evfd.h"
#include "evfd/schedule.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::c {

inline std::unexpected<Failure> invalid_argument(std::string message)
{
    return std::unexpected(Failure{EINVAL, std::move(message)});
}

Result<std::string_view> to_text(const char* name);
Result<std::vector<std::string>> to_texts(const char* const* names, std::size_t count);
// For ever, if it is negative.
std::optional<nanoseconds> to_timeout(std::int64_t timeout_ns);
Result<Permissions> to_permissions(mode_t bits);
Result<Permissions> permissions_under_umask(mode_t bits); // What umask(2) leaves of them.
Result<Schedule> to_schedule(const evfd_schedule* given);
Lifetime to_lifetime(int flags);
Result<void> check_flags(int flags, int known); // No other flag.
int from_mode(Mode mode);
Mode to_mode(int flags); // What is not a timer's.

} // namespace evfd::c
