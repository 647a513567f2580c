// What can be asked of an eventfd(2) that others may hold. O_NONBLOCK belongs to the open file, so
// whoever holds a duplicate can switch it off for us: nothing here relies on it, but for add().
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <optional>

namespace evfd {

enum class Counter { plain, semaphore }; // A read takes all, or one. EFD_SEMAPHORE

Result<UniqueFd> make_eventfd(unsigned initial, Counter counter);
Result<UniqueFd> duplicate(const UniqueFd& fd); // Close-on-exec.

// What the read took: 0 if there was nothing. Never blocks.
Result<std::uint64_t> take(const UniqueFd& eventfd);
// The same, into `taken`, which stays as it is if there was nothing: memory that others share has
// it in the moment it is taken.
Result<bool> take_into(const UniqueFd& eventfd, std::uint64_t& taken);
// The same by read(2), a little faster, of one that nobody else can have made blocking.
Result<bool> take_unshared_into(const UniqueFd& eventfd, std::uint64_t& taken);
// Takes all that a semaphore has, one token a read, until `end`. Whether that was all: others may
// add as fast as this takes, so what there is at the first `end` is counted into `left`, and no
// more than that is taken. E2BIG: that is more than max_tokens_per_clear.
Result<bool> drain(const UniqueFd& semaphore, std::optional<std::uint64_t>& remaining,
                   MonotonicTime end);
// Adds by write(2), which can block for as long as the counter has no room *and* a holder has
// switched O_NONBLOCK off: for those who trust the other holders. EAGAIN: it has no room.
Result<void> add(const UniqueFd& eventfd, std::uint64_t tokens);
// Whether a wait would end at once. Takes nothing; also for a wait-only handle.
bool is_readable(const UniqueFd& fd);

// From /proc/self/fdinfo, which takes nothing.
struct FdInfo {
    std::uint64_t count;
    bool is_blocking; // A holder switched O_NONBLOCK off.
};
Result<FdInfo> read_fdinfo(const UniqueFd& eventfd);
Result<std::uint64_t> count(const UniqueFd& eventfd);
// More than this cannot be written to it. eventfd(2)
inline constexpr std::uint64_t max_count = 0xffff'ffff'ffff'fffe;
// Switches O_NONBLOCK on for all holders; whether it was off.
Result<bool> make_nonblocking(const UniqueFd& eventfd);

// An epoll descriptor that is readable while `eventfd` is, and through which nothing can be
// written. It holds no reference: once every descriptor of the eventfd is closed it is silent for
// ever.
Result<UniqueFd> make_wait_only(const UniqueFd& eventfd);

} // namespace evfd
