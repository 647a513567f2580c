// Cooldowns: throttles the timers of each user. If the work for a user's timers took longer than
// one time slice, the timers pause for as long as the work took. All other users together thus get
// at least half of the event loop's time.
#pragma once

#include "common/clock.h"
#include "daemon/objects/batch_sizer.h"

#include <sys/types.h>

#include <algorithm>
#include <map>

namespace evfd::daemon {

class Cooldowns {
public:
    // Returns the remaining pause of the user; 0 if the user is not paused.
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
    // Charges the user for work that took `time`. If `time` is longer than one time slice, the
    // timers of the user pause for `time`.
    void charge(uid_t uid, nanoseconds time)
    {
        if (time > time_slice)
            until_[uid] = monotonic_deadline(time);
    }

private:
    std::map<uid_t, MonotonicTime> until_;
};

} // namespace evfd::daemon
