// A shared mapping of a part of a file, mmap(2) with MAP_SHARED. A store to the mapping changes the
// file at once, and the change stays if this process is killed.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

#include <atomic>
#include <cstdint>
#include <span>
#include <utility>

namespace evfd::daemon {

class MemoryMap {
public:
    MemoryMap() = default;
    // Maps `size` bytes from `offset`, which is a multiple of the page size. The caller must have
    // allocated memory for all of the bytes with fallocate(2).
    static Result<MemoryMap> create(const UniqueFd& file, std::uint64_t offset, std::size_t size);
    MemoryMap(MemoryMap&& other) noexcept : bytes_{std::exchange(other.bytes_, {})} {}
    MemoryMap& operator=(MemoryMap&& other) noexcept
    {
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~MemoryMap();

    std::span<char> bytes() const { return bytes_; }

private:
    explicit MemoryMap(std::span<char> bytes) : bytes_{bytes} {}

    std::span<char> bytes_;
};

// Keeps the compiler from moving stores across this call. If the process is killed between two
// stores that are separated by a barrier, the process has made only the first store. A barrier for
// the processor is not needed, because no other processor reads the memory at the same time.
inline void compiler_barrier()
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

} // namespace evfd::daemon
