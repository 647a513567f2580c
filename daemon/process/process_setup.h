// What this process is before anything is trusted to it, whoever started it: a program that ignores
// SIGCHLD, a shell with a closed standard error, a limit for files.
#pragma once

#include "common/result.h"

namespace evfd::daemon {

// First of all in main(). Every signal has its default action, but SIGPIPE and SIGXFSZ, which are
// ignored; none is blocked, but SIGTERM, SIGINT and SIGHUP where they were. Descriptors 0 to 2 are
// open. A file may become as large as the hard limit allows. Files that are made are ours alone.
Result<void> set_up_process();

} // namespace evfd::daemon
