#include "daemon/line_rate.h"

#include "tests/catch.h"

#include <string>
#include <vector>

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

TEST_CASE("so many lines are written in a second and the rest is counted")
{
    const MonotonicTime begin{100s};
    LineRate lines;
    for (std::int64_t i = 0; i < LineRate::most; ++i)
        CHECK(lines.may_write(begin + i * 1ms) == 0);
    for (int i = 0; i < 5; ++i)
        CHECK_FALSE(lines.may_write(begin + 999ms));
    CHECK(lines.may_write(begin + 1s) == 5);
    CHECK(lines.may_write(begin + 1s) == 0);
}

TEST_CASE("a line tells how many were left out before it")
{
    const MonotonicTime begin{100s};
    LineRate lines;
    std::vector<std::string> said;
    const auto say = [&](MonotonicTime now) {
        lines.line(now, [&](const std::string& others) { said.push_back("x" + others); });
    };
    for (std::int64_t i = 0; i < LineRate::most + 3; ++i)
        say(begin);
    say(begin + 1s);
    say(begin + 1s);

    REQUIRE(said.size() == LineRate::most + 2);
    CHECK(said.front() == "x");
    CHECK(said[LineRate::most] == "x (3 more before)");
    CHECK(said.back() == "x");
}

} // namespace
} // namespace evfd::daemon
