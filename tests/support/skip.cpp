#include "tests/support/skip.h"

#define CATCH_CONFIG_EXTERNAL_INTERFACES // Catch2 requires this for an event listener.
#include "tests/support/catch.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string_view>

namespace evfd {

namespace {

std::set<std::string> reasons; // The reasons of the test cases skipped so far.

#ifdef EVFDD_CATCH2_V3
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

// Prints the reasons at the end of the program, unless a test failed. CTest counts a test with such
// a line as skipped even if its program failed.
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
    // Catch2 2 has no SKIP(). In both versions a test case that ends by this exception without a
    // failed check passes.
    throw Catch::TestFailureException{};
}

} // namespace evfd
