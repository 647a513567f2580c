#include "daemon/ipc/cpu_meter.h"

#include <ctime>

namespace evfd::daemon {

nanoseconds thread_cpu_time()
{
    // clock_gettime(2) cannot fail here, because every thread has a CPU clock.
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
}

} // namespace evfd::daemon
