// Reads the file mode creation mask, which also limits the permissions of new objects.
#pragma once

#include <sys/types.h>

namespace evfd {

// Returns the umask(2), or 077 if it cannot be read.
mode_t current_umask();

} // namespace evfd
