#include "client/core/schedule_request.h"

#include "tests/support/catch.h"
#include "tests/support/literals.h"

#include <string>

namespace evfd {
namespace {

using namespace std::chrono_literals;

constexpr auto max_ns = nanoseconds::max();

TEST_CASE("a schedule becomes the Arm call with its values")
{
    auto request = to_arm_request("t"_name, {.at = 5s,
                                             .interval = 1ms,
                                             .clock = Clock::realtime,
                                             .cancel_on_clock_change = true,
                                             .sets = "e"});
    REQUIRE(request);
    CHECK(to_text(*request) == R"({"name":"t","clock":"realtime","firstNSec":5000000000,)"
                               R"("intervalNSec":1000000,"cancelOnClockChange":true,"sets":"e"})");
}

TEST_CASE("a valid schedule is accepted")
{
    const Schedule schedule = GENERATE(
        Schedule{.interval = 1ns}, Schedule{.after = 1ns}, Schedule{.after = 0ns, .interval = 1ns},
        Schedule{.at = 0ns, .interval = 1ns}, Schedule{.at = 1ns}, Schedule{.at = max_ns},
        Schedule{.at = max_ns, .interval = max_ns},
        Schedule{.at = 1s, .cancel_on_clock_change = true},
        Schedule{.at = 1s, .clock = Clock::realtime_alarm, .cancel_on_clock_change = true},
        Schedule{.interval = 1ms, .sets = "e"}, Schedule{.after = 1ns, .sets = "e"});
    CHECK(to_arm_request("t"_name, schedule));
}

TEST_CASE("an invalid schedule is refused with a sentence before anything is sent")
{
    const auto [schedule, sentence] = GENERATE(table<Schedule, std::string>({
        {Schedule{}, "needs a first expiry or an interval"},
        {{.after = 0ns}, "means never"},
        {{.at = 0ns}, "means never"},
        {{.after = -1ns}, "cannot be negative"},
        {{.interval = -1ns}, "cannot be negative"},
        {{.after = 1s, .interval = -1ns}, "cannot be negative"},
        {{.at = -1ns}, "cannot be before the clock's zero"},
        {{.after = 1s, .at = 1s}, "not both"},
        {{.after = max_ns}, "after the year 2262"},
        {{.interval = max_ns}, "after the year 2262"},
        {{.after = 1s, .cancel_on_clock_change = true}, "only a time on the realtime clock"},
        {{.at = 1s, .clock = Clock::boottime, .cancel_on_clock_change = true},
         "only a time on the realtime clock"},
        {{.interval = 1ms - 1ns, .sets = "e"}, "at least 1 ms"},
        {{.interval = 1s, .sets = "t"}, "cannot set itself"},
        {{.interval = 1s, .sets = "no//name"}, "is not a valid name"},
    }));
    INFO(sentence);
    const auto request = to_arm_request("t"_name, schedule);
    REQUIRE_FALSE(request);
    CHECK(request.error().code == ErrorCode::invalid);
    CHECK(request.error().message.find(sentence) != std::string::npos);
}

} // namespace
} // namespace evfd
