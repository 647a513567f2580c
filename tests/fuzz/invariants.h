// The invariants of a daemon between any two messages.
//
// Invariants:
//
// - Charges: every user is charged for exactly the objects, opened events, subscriptions and
//   connections that exist.
// - Watches: exactly the objects that a wait, a monitor or a timer needs are watched, except events
//   whose counter is a number.
// - Stash: exactly the descriptors of persistent objects and subscriptions are stored.
// - Journal: another daemon that reads the journal finds the objects, numbers, subscriptions and
//   held tokens of the registry.
#pragma once

#include "tests/fuzz/environment.h"

namespace evfd::daemon {

// Checks charges, watches and the stash. The function is fast enough to be called after every
// operation.
void check_invariants(DaemonInstance& instance);
// Reads the journal as another daemon would, and compares the records with the registry.
void check_journal_matches(DaemonInstance& instance);
// Checks that the journal is valid and has no records except the last intent and the reserved ids.
void check_journal_is_empty(DaemonInstance& instance);

} // namespace evfd::daemon
