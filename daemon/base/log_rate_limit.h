// How many lines of one kind the log gets: so many a second, and then how many there were besides.
// Else one user could fill it.
#pragma once

#include "common/clock.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace evfd::daemon {

class LogRateLimit {
public:
    static constexpr std::int64_t burst = 20; // In each span.
    static constexpr std::chrono::seconds interval{1};

    // Whether it may be written; then how many were not since the last that was.
    std::optional<std::int64_t> try_acquire(MonotonicTime now)
    {
        if (now - begin_ >= interval) {
            begin_ = now;
            written_ = 0;
        }
        if (written_ == burst) {
            ++suppressed_;
            return {};
        }
        ++written_;
        return std::exchange(suppressed_, 0);
    }

private:
    MonotonicTime begin_{};
    std::int64_t written_ = 0;
    std::int64_t suppressed_ = 0;
};

} // namespace evfd::daemon
