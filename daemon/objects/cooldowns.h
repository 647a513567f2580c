// Whose turn was too long pauses for as long, so that others have half of the time at least.
#pragma once

#include "common/clock.h"
#include "daemon/objects/batch_sizer.h"

#include <sys/types.h>

#include <algorithm>
#include <map>

namespace evfd::daemon {

class Rests {
public:
    // How much longer; 0: not at all.
    nanoseconds left(uid_t uid)
    {
        const auto rest = until_.find(uid);
        if (rest == until_.end())
            return nanoseconds{0};
        const auto left = left_until(rest->second);
        if (left == nanoseconds{0})
            until_.erase(rest);
        return left;
    }
    // What was done for that user took so much of everybody's time.
    void took(uid_t uid, nanoseconds time)
    {
        if (time > slice)
            until_[uid] = monotonic_after(time);
    }

private:
    std::map<uid_t, MonotonicTime> until_;
};

} // namespace evfd::daemon
