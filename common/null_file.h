// What a standard stream is where there is none.
#pragma once

#include "common/unique_fd.h"

namespace evfd {

// /dev/null, to read and write. Where that file is missing, as in a small chroot, a descriptor on
// which every read and every write fails. Invalid only without a descriptor left; see errno.
UniqueFd open_null();

} // namespace evfd
