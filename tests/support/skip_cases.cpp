// Test cases for skip_test.sh. A test case runs once for each value of GENERATE(), and skip() can
// skip only some of these runs.
#include "tests/support/catch.h"
#include "tests/support/skip.h"

namespace evfd {
namespace {

TEST_CASE("skipped")
{
    skip("it is the reason");
}

TEST_CASE("skipped in part")
{
    if (GENERATE(false, true, true))
        skip("it is the reason");
    CHECK(true);
}

TEST_CASE("skipped in part and failed")
{
    if (GENERATE(true, false))
        skip("it is the reason");
    CHECK(false);
}

TEST_CASE("run")
{
    CHECK(true);
}

} // namespace
} // namespace evfd
