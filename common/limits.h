// The limits of the protocol between the daemon and its clients. The limits for each user are in
// daemon/access/quota.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evfd {

// The largest size of one reply without its closing zero byte.
inline constexpr std::size_t max_reply_bytes = 256 * 1024;
inline constexpr std::size_t max_json_depth = 16; // The deepest nesting of JSON objects and arrays.
inline constexpr std::size_t max_name_bytes = 255;
inline constexpr std::size_t max_pattern_bytes = 255;
// The kernel's SCM_MAX_FD. Sending more descriptors in one message fails with EINVAL: see unix(7).
inline constexpr std::size_t max_descriptors_per_message = 253;
inline constexpr std::size_t max_names_per_call = max_descriptors_per_message;
// The largest size of one call without its closing zero byte. The longest call has
// max_names_per_call items. Each item has a name of max_name_bytes bytes, each byte written as
// \u0061, and 128 bytes for its keys and numbers. The other fields of the call have 4 KiB.
inline constexpr std::size_t max_call_bytes =
    max_names_per_call * (6 * max_name_bytes + 128) + 4 * 1024;
// The largest number of keys and values in one call. The number is limited because each key and
// each value takes time to parse, and max_call_bytes has room for ten times this number. No valid
// call comes near this number.
inline constexpr std::size_t max_call_values = 16 * 1024;
// The number of bytes of an incomplete call that are not charged to the user.
inline constexpr std::size_t max_uncounted_call_bytes = 64 * 1024;
// The number of tokens that one call may add. The daemon adds the tokens one by one, in about 0.4
// us each.
inline constexpr std::int64_t max_tokens_per_set = 16'384;
// The number of tokens that one connection may hold. The number is limited because the daemon
// returns all of these tokens in one step when the connection's session ends.
inline constexpr std::int64_t max_tokens_held = max_names_per_call;
// Highest sequence number of a session: the largest integer that every JSON reader preserves.
inline constexpr std::int64_t max_sequence = 9'007'199'254'740'991;
// Highest id of an object: the largest integer that every JSON reader preserves.
inline constexpr std::int64_t max_object_id = 9'007'199'254'740'991;
// The largest initial count of a semaphore. eventfd(2) takes an unsigned int.
inline constexpr std::int64_t max_initial_count = 4'294'967'295;
// The number of tokens of a semaphore that one call can clear. The kernel takes one token with each
// read, so clearing the largest possible count, 2^64 - 2, would take thousands of years.
inline constexpr std::int64_t max_tokens_per_clear = max_initial_count;

// The least interval of a timer that has a target, in nanoseconds. The interval is limited because
// the daemon itself sets the target event at each expiration.
inline constexpr std::int64_t min_target_interval = 1'000'000;

// The number of supplementary groups that a process may have if it arms a timer with a target. The
// daemon stores the groups with the timer. At each expiration, it uses the groups to check the
// permission to set the target.
inline constexpr std::size_t max_arming_groups = 128;

} // namespace evfd
