// Converts the arguments of C functions to arguments for the C++ library.
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
// Converts a timeout in nanoseconds. Returns nothing for a negative timeout, which means no limit.
std::optional<nanoseconds> to_timeout(std::int64_t timeout_ns);
Result<Permissions> to_permissions(mode_t bits);
// Returns the permissions `bits` without the bits that are set in the umask(2).
Result<Permissions> permissions_under_umask(mode_t bits);
// Returns the clock of an absolute or a relative time. The default of an absolute time is realtime,
// and of a relative time monotonic.
Result<Clock> to_clock(int clock, bool is_absolute);
Result<Schedule> to_schedule(const evfd_schedule* input);
Lifetime to_lifetime(int flags);
Result<void> check_flags(int flags, int known); // Fails with EINVAL if a flag is not in `known`.
inline constexpr int mode_flags =
    EVFD_MANUAL | EVFD_AUTO | EVFD_SEMAPHORE | EVFD_PULSE | EVFD_TIMER;
int from_mode(Mode mode);
// Returns the mode that `flags` select, or the manual mode if they select none. Ignores all other
// flags. Fails with EINVAL if `flags` select two modes, or EVFD_TIMER.
Result<Mode> to_mode(int flags);

} // namespace evfd::c
