// What new objects of this process are not open for, as new files are not.
#pragma once

#include <sys/types.h>

namespace evfd {

// If it cannot be read, all that others could do.
mode_t current_umask();

} // namespace evfd
