#include "daemon/base/log_rate_limit.h"

#include "tests/support/catch.h"

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a burst of lines is logged each second, and the rest is counted")
{
    const MonotonicTime begin{100s};
    LogRateLimit lines;
    for (std::int64_t i = 0; i < LogRateLimit::burst; ++i)
        CHECK(lines.try_acquire(begin + i * 1ms) == 0);
    for (int i = 0; i < 5; ++i)
        CHECK_FALSE(lines.try_acquire(begin + 999ms));
    CHECK(lines.try_acquire(begin + 1s) == 5);
    CHECK(lines.try_acquire(begin + 1s) == 0);
}

} // namespace
} // namespace evfd::daemon
