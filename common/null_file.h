// A replacement for a missing standard stream.
#pragma once

#include "common/unique_fd.h"

namespace evfd {

// Opens /dev/null for reading and writing. Where that file is missing, as in a small chroot,
// returns a descriptor on which every read and write fails. Invalid only if no descriptor is free;
// see errno.
UniqueFd open_null();

} // namespace evfd
