// Gives the process a known state that does not depend on its parent. The parent can be a program
// that ignores SIGCHLD, a shell with standard error closed, or a shell with a limit for file sizes.
#pragma once

#include "common/result.h"

namespace evfd::daemon {

// Must be the first call of main(). Sets every signal to its default action, except SIGPIPE and
// SIGXFSZ, which are ignored. Unblocks all signals, but leaves SIGTERM, SIGINT and SIGHUP blocked
// if they were blocked. Opens /dev/null as each of the descriptors 0 to 2 that is closed. Raises
// the limit for file sizes to the hard limit. Makes new files accessible only to the user of the
// process.
Result<void> set_up_process();

} // namespace evfd::daemon
