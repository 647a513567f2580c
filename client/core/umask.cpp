#include "client/core/umask.h"

#include <cstdio>
#include <memory>

namespace evfd {

// Reads the mask from /proc. umask(2) returns the mask only while it sets another mask, which would
// affect the other threads of the process.
mode_t current_umask()
{
    constexpr mode_t strictest = 077; // The mask that is used if /proc is not readable.
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> status{std::fopen("/proc/self/status", "re"),
                                                           &std::fclose};
    char line[256];
    unsigned mask = strictest;
    while (status && std::fgets(line, sizeof line, status.get()))
        if (std::sscanf(line, "Umask: %o", &mask) == 1)
            break;
    return mask;
}

} // namespace evfd
