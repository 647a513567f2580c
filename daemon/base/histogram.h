// Counts durations in buckets.
#pragma once

#include "common/clock.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace evfd::daemon {

class Histogram {
public:
    // The upper bounds of the buckets. One more bucket counts the durations above the last bound.
    static constexpr std::array<nanoseconds, 10> bounds{
        std::chrono::microseconds{10},  std::chrono::microseconds{30},
        std::chrono::microseconds{100}, std::chrono::microseconds{300},
        std::chrono::milliseconds{1},   std::chrono::milliseconds{3},
        std::chrono::milliseconds{10},  std::chrono::milliseconds{100},
        std::chrono::seconds{1},        std::chrono::seconds{10},
    };

    void add(nanoseconds span)
    {
        const auto bucket = std::ranges::lower_bound(bounds, span) - bounds.begin();
        ++counts_[static_cast<std::size_t>(bucket)];
        sum_ += span;
    }
    // Returns the counts: one for each bound, and one for the durations above the last bound.
    const std::array<std::uint64_t, bounds.size() + 1>& counts() const { return counts_; }
    nanoseconds sum() const { return sum_; }

private:
    std::array<std::uint64_t, bounds.size() + 1> counts_{};
    nanoseconds sum_{0};
};

} // namespace evfd::daemon
