// Operations on an eventfd(2) of which other processes can have a duplicate. O_NONBLOCK belongs to
// the open file, so a process with a duplicate can switch O_NONBLOCK off for all processes. Only
// add() relies on O_NONBLOCK.
#pragma once

#include "common/result.h"
#include "common/time_slice.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <optional>

namespace evfd {

// How much a read takes: the whole count (plain), or one token (semaphore, by EFD_SEMAPHORE).
enum class Counter { plain, semaphore };

Result<UniqueFd> make_eventfd(unsigned initial, Counter counter);
Result<UniqueFd> duplicate(const UniqueFd& fd); // The duplicate is close-on-exec.

// Reads the eventfd and returns what the read took, or 0. Never blocks.
Result<std::uint64_t> take(const UniqueFd& eventfd);
// Reads the eventfd into `taken`, which is unchanged if the count was 0. If `taken` is in shared
// memory, the tokens appear there in the same system call that takes them. Returns whether tokens
// were taken.
Result<bool> take_into(const UniqueFd& eventfd, std::uint64_t& taken);
// Takes all tokens of a semaphore, one with each read, until the time slice is over. Takes at least
// one token, even if the slice is over at the start. Returns whether all tokens are taken.
//
// Other processes can add tokens as fast as this function takes them. Therefore the first call that
// uses up its slice stores the present count in `remaining`, and later calls take no more than that
// count. Fails with E2BIG if the count exceeds max_tokens_per_clear.
Result<bool> drain(const UniqueFd& semaphore, std::optional<std::uint64_t>& remaining,
                   const TimeSlice& slice);
// Adds tokens with write(2). The write blocks while the counter has no room *and* a process has
// switched O_NONBLOCK off. The caller must therefore trust the other processes that have the
// eventfd. Fails with EAGAIN if the counter has no room and O_NONBLOCK is on.
Result<void> add(const UniqueFd& eventfd, std::uint64_t tokens);
// Returns whether a wait would end immediately. Takes no token. Also works for a wait-only handle.
bool is_readable(const UniqueFd& fd);

// The state of an eventfd in /proc/self/fdinfo. Reading the state takes no token.
struct FdInfo {
    std::uint64_t count;
    bool is_blocking; // True if a process has switched O_NONBLOCK off.
};
Result<FdInfo> read_fdinfo(const UniqueFd& eventfd);
Result<std::uint64_t> count(const UniqueFd& eventfd);
// The highest value of an eventfd's counter: see eventfd(2).
inline constexpr std::uint64_t max_count = 0xffff'ffff'ffff'fffe;
// Switches O_NONBLOCK on for all processes that have the eventfd. Returns whether O_NONBLOCK was
// off.
Result<bool> make_nonblocking(const UniqueFd& eventfd);

// Returns an epoll descriptor that is readable while `eventfd` is readable. Nothing can be written
// through the epoll descriptor. The epoll descriptor holds no reference to the eventfd: once every
// descriptor of the eventfd is closed, the epoll descriptor is never readable again.
Result<UniqueFd> make_wait_only(const UniqueFd& eventfd);

} // namespace evfd
