// A part of a file in memory, shared with all who have the file open: what is stored there is in
// the file at once, and stays there if this process is killed.
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
    // `offset`: a multiple of the page size. The file must have memory for all of it: fallocate(2).
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

// Between two stores, where we may be killed at any of them: those before then count, in the order
// of the program. No other processor looks meanwhile.
inline void compiler_barrier()
{
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

} // namespace evfd::daemon
