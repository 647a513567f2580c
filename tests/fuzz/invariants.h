// What must hold between any two messages to a daemon: its books are in order.
#pragma once

#include "tests/fuzz/environment.h"

namespace evfd::daemon {

// What is paid for is there, what is watched is cared for. Cheap.
void check_invariants(DaemonInstance& instance);
// The journal says what the registry knows: it is read as another daemon would.
void check_journal_matches(DaemonInstance& instance);
// It says that there is nothing.
void check_journal_is_empty(DaemonInstance& instance);

} // namespace evfd::daemon
