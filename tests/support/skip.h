// Skips tests that this machine cannot run.
//
// A skipped test must not look like a passed one. Catch2 2 has no such result, so a skipped case
// passes and the program prints "SKIPPED: reason" at its end. CTest then counts the test as skipped
// (SKIP_REGULAR_EXPRESSION), and skipped.sh lists the reasons. CI forbids skips where all tests can
// run.
#pragma once

#include <string>

namespace evfd {

// Ends the test case; `reason` says why it cannot run. The program prints "SKIPPED: reason" at its
// end unless a check failed, and CTest recognizes a skipped test by that line. With
// EVFDD_FORBID_SKIPS=1 in the environment the test case fails instead.
[[noreturn]] void skip(const std::string& reason);
// Like skip(), for operations that the kernel allows in no chroot. Such a test may be skipped in
// spite of EVFDD_FORBID_SKIPS=1, since CI also runs it outside of a chroot. See user_namespaces(7).
[[noreturn]] void skip_in_chroot(const std::string& reason);
// Returns whether EVFDD_FORBID_SKIPS=1 is in the environment.
bool forbids_skips();

} // namespace evfd
