#include "tests/bench/ping_pong.h"

#include <sched.h>
#include <unistd.h>

namespace evfd::bench {

void pin_to_core(int core, pid_t process)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    const auto cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
    for (int i = 0; i < cores; ++i)
        if (core == any_core || i == core % cores)
            CPU_SET(static_cast<std::size_t>(i), &set);
    ::sched_setaffinity(process, sizeof set, &set);
}

} // namespace evfd::bench
