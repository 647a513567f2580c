// Tests the check for reentrancy. This file defines EVFDD_REENTRANCY_CHECK, so that every build
// runs the tests. The definition affects only the classes that are defined in this file.
#ifndef EVFDD_REENTRANCY_CHECK
#define EVFDD_REENTRANCY_CHECK
#endif
#include "daemon/base/on_stack.h"

#include "tests/support/catch.h"
#include "tests/support/probe.h"

#include <csignal>

namespace evfd::daemon {
namespace {

struct Entered {};
struct Other {};

int enter()
{
    const OnStack<Entered> entered;
    const OnStack<Other> other;
    return 0;
}

int enter_again()
{
    const OnStack<Entered> entered;
    return enter();
}

TEST_CASE("a class may be entered again after it was left, and others meanwhile")
{
    CHECK(probe::in_child([] { return enter() + enter(); }) == 0);
}

TEST_CASE("entering a class that is on the stack aborts the process")
{
    // The value that in_child() returns if the child did not exit by itself.
    constexpr int failed = -1;
    CHECK(probe::in_child([] {
              ::signal(SIGABRT, SIG_DFL); // Removes the signal handler of the test program.
              return enter_again();
          }) == failed);
}

} // namespace
} // namespace evfd::daemon
