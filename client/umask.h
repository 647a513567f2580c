// What new objects of this process are not open for, as new files are not.
#pragma once

#include <sys/types.h>

namespace evfd {

mode_t current_umask();

} // namespace evfd
