// Whose turn was too long pauses for as long, so that others have half of the time at least.
#pragma once

#include "common/clock.h"
#include "daemon/objects/batch_sizer.h"

#include <sys/types.h>

#include <algorithm>
#include <map>

namespace evfd::daemon {

class Cooldowns {
public:
    // How much longer; 0: not at all.
    nanoseconds remaining(uid_t uid)
    {
        const auto entry = until_.find(uid);
        if (entry == until_.end())
            return nanoseconds{0};
        const auto time_left = time_until(entry->second);
        if (time_left == nanoseconds{0})
            until_.erase(entry);
        return time_left;
    }
    // What was done for that user took so much of everybody's time.
    void charge(uid_t uid, nanoseconds time)
    {
        if (time > time_slice)
            until_[uid] = monotonic_deadline(time);
    }

private:
    std::map<uid_t, MonotonicTime> until_;
};

} // namespace evfd::daemon
