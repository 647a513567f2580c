// JournalLocation: where the log has an entry, and how large the entry is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace evfd::daemon {

// Offsets and sizes are multiples of 8 bytes, so a location has no bits for their last digits.
class JournalLocation {
public:
    // The end of a log must not be above this offset. A log gets there after 2 PiB of commits.
    static constexpr std::uint64_t max_offset = ((std::uint64_t{1} << 48) - 1) * 8;
    static constexpr std::size_t max_size = ((std::size_t{1} << 16) - 1) * 8;

    // `offset` is the offset of the entry in the file, at most max_offset. A size above max_size
    // counts as max_size.
    JournalLocation(std::uint64_t offset, std::size_t size)
        : bits_{offset / 8 << 16 | std::min(size, max_size) / 8}
    {
    }

    std::uint64_t offset() const { return (bits_ >> 16) * 8; }
    std::size_t size() const { return (bits_ & 0xffff) * 8; }
    friend bool operator==(const JournalLocation&, const JournalLocation&) = default;

private:
    std::uint64_t bits_;
};

} // namespace evfd::daemon
