// Skips tests that this machine cannot run.
//
// A skipped test must not look like a passed test. But Catch2 2 has no result "skipped". Therefore
// a skipped test case passes in Catch2, and the program prints "SKIPPED: reason" at its end. CTest
// then counts the test as skipped (SKIP_REGULAR_EXPRESSION), and skipped.sh lists the reasons. In
// CI, jobs whose machine can run all tests set EVFDD_FORBID_SKIPS=1, so that a skip is a failure.
#pragma once

#include <string>

namespace evfd {

// Ends the test case. `reason` says why this machine cannot run the test case. Unless a check
// failed, the program prints "SKIPPED: reason" at its end. CTest recognizes a skipped test by this
// line. With EVFDD_FORBID_SKIPS=1 in the environment, the test case fails and is not skipped.
[[noreturn]] void skip(const std::string& reason);
// Skips a test of an operation that the kernel does not allow in a chroot (see user_namespaces(7)).
// Skips the test even with EVFDD_FORBID_SKIPS=1, because CI also runs the test outside of a chroot.
[[noreturn]] void skip_in_chroot(const std::string& reason);
// Returns whether EVFDD_FORBID_SKIPS=1 is in the environment.
bool forbids_skips();

} // namespace evfd
