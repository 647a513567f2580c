// Gives the process a known state whatever its parent was: a program that ignores SIGCHLD, a shell
// with standard error closed, a shell with a limit for file sizes.
#pragma once

#include "common/result.h"

namespace evfd::daemon {

// The first call of main(). Sets every signal to its default action, except SIGPIPE and SIGXFSZ,
// which are ignored. Unblocks all signals, except SIGTERM, SIGINT and SIGHUP where they are
// blocked. Opens descriptors 0 to 2 where they are closed. Raises the limit for file sizes to the
// hard limit. Makes new files accessible to our user only.
Result<void> set_up_process();

} // namespace evfd::daemon
