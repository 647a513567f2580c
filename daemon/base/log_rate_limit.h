// Limits how many lines of one kind are logged in each interval, and counts the suppressed lines.
// Without this limit a user could fill the log.
#pragma once

#include "common/clock.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace evfd::daemon {

class LogRateLimit {
public:
    // The largest number of lines of one kind that are logged in one interval.
    static constexpr std::int64_t burst = 20;
    static constexpr std::chrono::seconds interval{1};

    // Returns nothing if the line must be suppressed. If the line can be logged, returns the number
    // of lines that were suppressed since the last logged line.
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
