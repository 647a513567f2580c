// What a test does that cannot be run on this machine.
#pragma once

#include <string>

namespace evfd {

// Ends the test case; `reason` says why it cannot be run. At the end of the program
// "SKIPPED: reason" is printed, unless a check failed; CTest knows a skipped test by it. With
// EVFDD_FORBID_SKIPS=1 in the environment the test case fails instead.
[[noreturn]] void skip(const std::string& reason);
// The same, for what the kernel lets nobody do in a chroot: that is never forbidden, as CI runs the
// test outside of one, too. user_namespaces(7)
[[noreturn]] void skip_in_chroot(const std::string& reason);
// Whether EVFDD_FORBID_SKIPS=1 is in the environment.
bool forbids_skips();

} // namespace evfd
