// Operations on an eventfd(2) that other processes may hold. O_NONBLOCK belongs to the open file,
// so each holder of a duplicate can switch it off for us. Nothing here relies on it, except add().
#pragma once

#include "common/result.h"
#include "common/time_slice.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <optional>

namespace evfd {

// A read takes the whole count, or one token. EFD_SEMAPHORE
enum class Counter { plain, semaphore };

Result<UniqueFd> make_eventfd(unsigned initial, Counter counter);
Result<UniqueFd> duplicate(const UniqueFd& fd); // Close-on-exec.

// Reads the eventfd and returns what the read took, or 0. Never blocks.
Result<std::uint64_t> take(const UniqueFd& eventfd);
// Reads to `taken`, which is unchanged if there was nothing to take. Where `taken` is in shared
// memory, the result appears there in the same system call that takes it. Returns whether something
// was taken.
Result<bool> take_into(const UniqueFd& eventfd, std::uint64_t& taken);
// The same with read(2), which is a little faster, for an eventfd that no other process can have
// made blocking.
Result<bool> take_unshared_into(const UniqueFd& eventfd, std::uint64_t& taken);
// Takes all tokens of a semaphore, one with each read, and at least one. Returns whether it took
// all. Other processes may add as fast as this takes, so the first call that uses up its slice
// stores the present count in `remaining`, and no more than that is taken. E2BIG: the count exceeds
// max_tokens_per_clear.
Result<bool> drain(const UniqueFd& semaphore, std::optional<std::uint64_t>& remaining,
                   const TimeSlice& slice);
// Adds with write(2), which blocks while the counter has no room *and* a holder has switched
// O_NONBLOCK off; only for callers that trust the other holders. EAGAIN: the counter has no room.
Result<void> add(const UniqueFd& eventfd, std::uint64_t tokens);
// Returns whether a wait would end immediately. Takes nothing, and works for a wait-only handle.
bool is_readable(const UniqueFd& fd);

// State of an eventfd in /proc/self/fdinfo. Reading it takes nothing.
struct FdInfo {
    std::uint64_t count;
    bool is_blocking; // A holder has switched O_NONBLOCK off.
};
Result<FdInfo> read_fdinfo(const UniqueFd& eventfd);
Result<std::uint64_t> count(const UniqueFd& eventfd);
// Highest value of the counter. eventfd(2)
inline constexpr std::uint64_t max_count = 0xffff'ffff'ffff'fffe;
// Switches O_NONBLOCK on for all holders. Returns whether it was off.
Result<bool> make_nonblocking(const UniqueFd& eventfd);

// Returns an epoll descriptor that is readable while `eventfd` is, and that nothing can be written
// through. It holds no reference: once every descriptor of the eventfd is closed it is never
// readable again.
Result<UniqueFd> make_wait_only(const UniqueFd& eventfd);

} // namespace evfd
