// The bounds of the wire, in one place: both ends keep to them. What one user may hold is the
// daemon's business and stands in daemon/quota.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evfd {

inline constexpr std::size_t max_reply_bytes = 256 * 1024; // One reply, likewise.
inline constexpr std::size_t max_json_depth = 16;          // Objects and arrays within each other.
inline constexpr std::size_t max_name_bytes = 255;
inline constexpr std::size_t max_pattern_bytes = 255;
// SCM_MAX_FD of the kernel: more in one message is EINVAL. unix(7)
inline constexpr std::size_t max_descriptors_per_message = 253;
inline constexpr std::size_t max_names_per_call = max_descriptors_per_message;
// One call, its closing zero byte not counted: as many names as it can have, all of the longest,
// each byte spelt as \u0061, in quotes and with a comma; and what else there is in it.
inline constexpr std::size_t max_call_bytes =
    max_names_per_call * (6 * max_name_bytes + 3) + 4 * 1024;
// Keys and values in one call: far more than any has, and a tenth of what there is room for, since
// they are what takes time to read.
inline constexpr std::size_t max_call_values = 16 * 1024;
// So much of a call may have come, and not the rest, whatever else its user has on the way.
inline constexpr std::size_t max_uncounted_call_bytes = 64 * 1024;
// What one call may add to an event; the daemon adds one by one, about 0.4 us each.
inline constexpr std::int64_t max_tokens_per_set = 16'384;
// What one connection may hold; it goes back all at once.
inline constexpr std::int64_t max_tokens_held = max_names_per_call;
// What one session may count; the largest integer that every JSON reader keeps.
inline constexpr std::int64_t max_sequence = 9'007'199'254'740'991;
// What a semaphore can start with: eventfd(2) takes an unsigned int.
inline constexpr std::int64_t max_initial_count = 4'294'967'295;
// What a semaphore may have to be cleared of. The kernel gives one token a read, and all that there
// can be, 2^64 - 2, would take thousands of years.
inline constexpr std::int64_t max_tokens_per_clear = max_initial_count;

// How often at most a timer sets an event, in nanoseconds: the daemon does that, for everybody.
inline constexpr std::int64_t min_target_interval = 1'000'000;

// How many supplementary groups a process may have that arms a timer with a link: they are kept
// with the timer, and its permissions are checked with them at each expiry.
inline constexpr std::size_t max_arming_groups = 128;

} // namespace evfd
