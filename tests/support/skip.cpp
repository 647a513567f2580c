#include "tests/support/skip.h"

#define CATCH_CONFIG_EXTERNAL_INTERFACES // Makes the header of Catch2 2 declare event listeners.
#include "tests/support/catch.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string_view>

namespace evfd {

namespace {

std::set<std::string> reasons; // The reasons of all skips so far.

#ifdef EVFDD_CATCH2_V3
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

// Prints the reasons of all skips at the end of the program. Prints nothing if a test failed,
// because a printed reason would make CTest report "skipped" and not "failed".
class SkipListener : public ListenerBase {
public:
    using ListenerBase::ListenerBase;
    void testRunEnded(const Catch::TestRunStats& run) override
    {
        if (run.totals.assertions.failed > 0 || run.totals.testCases.failed > 0)
            return;
        for (const auto& reason : reasons)
            std::printf("SKIPPED: %s\n", reason.c_str());
    }
};

CATCH_REGISTER_LISTENER(SkipListener)

} // namespace

bool forbids_skips()
{
    const char* const value = std::getenv("EVFDD_FORBID_SKIPS");
    return value && value == std::string_view{"1"};
}

void skip(const std::string& reason)
{
    if (forbids_skips())
        FAIL("EVFDD_FORBID_SKIPS is set, and this test is skipped: " << reason);
    skip_in_chroot(reason);
}

void skip_in_chroot(const std::string& reason)
{
    reasons.insert(reason);
    // Throws an exception, because SKIP() exists only in Catch2 3. After this exception, both
    // Catch2 2 and Catch2 3 count the test case as passed, unless a check has failed before.
    throw Catch::TestFailureException{};
}

} // namespace evfd
