// open_null(): a replacement for a missing standard stream.
#pragma once

#include "common/unique_fd.h"

namespace evfd {

// Opens /dev/null for reading and writing. If that file is missing, as in a small chroot, returns a
// descriptor on which every read and write fails. The result is invalid only if no descriptor is
// free; errno has the reason.
UniqueFd open_null();

} // namespace evfd
