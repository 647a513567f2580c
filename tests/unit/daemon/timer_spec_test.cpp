#include "daemon/objects/timer_spec.h"

#include "common/limits.h"
#include "tests/support/literals.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

std::string wrong_field_of(const protocol::Arm& request, std::optional<Clock> present = {})
{
    const auto spec = resolve_spec(request, present);
    return spec ? "(none)" : spec.error().name;
}

TEST_CASE("a wrong request is refused with the name of the wrong field")
{
    const auto linked = nanoseconds{min_target_interval};
    const auto t = "t"_name;
    const std::vector<std::pair<protocol::Arm, std::string>> cases{
        {{.name = t}, "intervalNSec"},
        {{.name = t, .interval = 0ns}, "intervalNSec"},
        {{.name = t, .clock = Clock::realtime}, "intervalNSec"},
        {{.name = t, .first = 1ns, .after = 1ns}, "afterNSec"},
        {{.name = t, .first = 0ns, .after = 0ns, .interval = 1s}, "afterNSec"},
        {{.name = t, .first = 0ns}, "firstNSec"},
        {{.name = t, .first = 0ns, .interval = 0ns}, "firstNSec"},
        {{.name = t, .after = 0ns}, "afterNSec"},
        {{.name = t, .after = 0ns, .interval = 0ns}, "afterNSec"},
        {{.name = t, .after = end_of_clock}, "afterNSec"},
        {{.name = t, .clock = Clock::realtime, .after = end_of_clock}, "afterNSec"},
        {{.name = t, .interval = end_of_clock}, "intervalNSec"},
        {{.name = t, .after = 1s, .interval = linked - 1ns, .sets = "e"_name}, "intervalNSec"},
        {{.name = t, .interval = 1ns, .sets = "e"_name}, "intervalNSec"},
        {{.name = t, .after = 1s, .sets = t}, "sets"},
        {{.name = t, .after = 1s, .cancel_on_clock_change = true}, "cancelOnClockChange"},
        {{.name = t, .clock = Clock::realtime, .after = 1s, .cancel_on_clock_change = true},
         "cancelOnClockChange"},
        {{.name = t, .clock = Clock::realtime_alarm, .after = 1s, .cancel_on_clock_change = true},
         "cancelOnClockChange"},
        {{.name = t, .clock = Clock::realtime, .interval = 1s, .cancel_on_clock_change = true},
         "cancelOnClockChange"},
        {{.name = t, .clock = Clock::monotonic, .first = 1s, .cancel_on_clock_change = true},
         "cancelOnClockChange"},
        {{.name = t, .clock = Clock::boottime_alarm, .first = 1s, .cancel_on_clock_change = true},
         "cancelOnClockChange"},

        {{.name = t, .first = 1ns}, "(none)"},
        {{.name = t, .after = 1ns}, "(none)"},
        {{.name = t, .interval = 1ns}, "(none)"},
        {{.name = t, .first = 0ns, .interval = 1ns}, "(none)"},
        {{.name = t, .after = 0ns, .interval = 1ns}, "(none)"},
        {{.name = t, .first = end_of_clock}, "(none)"},
        {{.name = t, .first = end_of_clock, .interval = end_of_clock}, "(none)"},
        {{.name = t, .after = 1s, .interval = end_of_clock}, "(none)"},
        {{.name = t, .after = 1ns, .sets = "e"_name}, "(none)"},
        {{.name = t, .after = 1ns, .interval = linked, .sets = "e"_name}, "(none)"},
        {{.name = t, .first = 1s, .cancel_on_clock_change = true}, "(none)"},
        {{.name = t, .clock = Clock::realtime_alarm, .first = 1s, .cancel_on_clock_change = true},
         "(none)"},
        {{.name = t, .after = 1s, .cancel_on_clock_change = false}, "(none)"},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        INFO("case " << i);
        CHECK(wrong_field_of(cases[i].first) == cases[i].second);
    }
}

TEST_CASE("cancelling on a clock change depends on the clock that the timer already has")
{
    const protocol::Arm request{.name = "t"_name, .first = 1s, .cancel_on_clock_change = true};
    CHECK(wrong_field_of(request, Clock::realtime) == "(none)");
    CHECK(wrong_field_of(request, Clock::realtime_alarm) == "(none)");
    CHECK(wrong_field_of(request, Clock::monotonic) == "cancelOnClockChange");
    CHECK(wrong_field_of(request, Clock::boottime) == "cancelOnClockChange");
}

TEST_CASE("the clock is the requested one, else the present one, else the default")
{
    struct Case {
        std::optional<Clock> requested;
        std::optional<Clock> present;
        bool is_relative;
        Clock clock;
        Clock grid;
        Clock descriptor;
    };
    using enum Clock;
    const auto c = GENERATE(values<Case>({
        {{}, {}, true, monotonic, monotonic, monotonic},
        {{}, {}, false, realtime, realtime, realtime},
        {{}, boottime, true, boottime, boottime, boottime},
        {{}, boottime, false, boottime, boottime, boottime},
        {{}, realtime, true, realtime, monotonic, realtime},
        {{}, realtime, false, realtime, realtime, realtime},
        {{}, monotonic, false, monotonic, monotonic, monotonic},
        {boottime, realtime, false, boottime, boottime, boottime},
        {realtime, monotonic, true, realtime, monotonic, realtime},
        {realtime_alarm, {}, true, realtime_alarm, boottime_alarm, boottime_alarm},
        {realtime_alarm, {}, false, realtime_alarm, realtime_alarm, realtime_alarm},
        {boottime_alarm, {}, true, boottime_alarm, boottime_alarm, boottime_alarm},
        {boottime_alarm, {}, false, boottime_alarm, boottime_alarm, boottime_alarm},
    }));
    protocol::Arm request{.name = "t"_name, .clock = c.requested};
    (c.is_relative ? request.after : request.first) = 1h;

    const auto spec = resolve_spec(request, c.present);

    REQUIRE(spec);
    CHECK(spec->clock == c.clock);
    CHECK(spec->is_relative == c.is_relative);
    CHECK(spec->schedule.clock == c.grid);
    CHECK(spec->descriptor_clock() == c.descriptor);
}

TEST_CASE("a relative time starts at the moment of arming on a clock that cannot be set")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::boottime, Clock::realtime);
    const auto grid = clock == Clock::realtime ? Clock::monotonic : clock;

    const auto before = now_on(grid);
    const auto spec =
        resolve_spec({.name = "t"_name, .clock = clock, .after = 1h, .interval = 7s}, {});
    const auto after = now_on(grid);

    REQUIRE(spec);
    CHECK(spec->schedule.first >= before + 1h);
    CHECK(spec->schedule.first <= after + 1h);
    CHECK(spec->schedule.interval == 7s);
    CHECK_FALSE(spec->was_past);
}

TEST_CASE("an absent first expiration is one interval from now")
{
    const auto before = now_on(Clock::monotonic);
    const auto spec = resolve_spec({.name = "t"_name, .interval = 2h}, {});
    REQUIRE(spec);
    CHECK(spec->schedule.first >= before + 2h);
    CHECK(spec->schedule.first <= now_on(Clock::monotonic) + 2h);
}

TEST_CASE("a relative time of zero with an interval starts now")
{
    const auto before = now_on(Clock::monotonic);
    const auto spec = resolve_spec({.name = "t"_name, .after = 0ns, .interval = 2h}, {});
    REQUIRE(spec);
    CHECK(spec->schedule.first >= before);
    CHECK(spec->schedule.first <= now_on(Clock::monotonic));
    CHECK(spec->schedule.expirations_by(now_on(Clock::monotonic)) == 1);
}

TEST_CASE("an absolute first expiration is used as it is, and zero means one interval later")
{
    const auto spec = resolve_spec({.name = "t"_name, .first = end_of_clock, .interval = 3s}, {});
    REQUIRE(spec);
    CHECK(spec->schedule == Schedule{Clock::realtime, end_of_clock, 3s});
    CHECK_FALSE(spec->was_past);

    const auto from_zero = resolve_spec({.name = "t"_name, .first = 0ns, .interval = 3s}, {});
    REQUIRE(from_zero);
    CHECK(from_zero->schedule == Schedule{Clock::realtime, 3s, 3s});
    CHECK(from_zero->was_past);
}

TEST_CASE("an absolute first expiration up to now is past, and a relative one never is")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime);
    WallClockLock wall_clock;
    const auto first_of = [&](nanoseconds first) {
        return resolve_spec({.name = "t"_name, .clock = clock, .first = first}, {})->was_past;
    };
    CHECK(first_of(1ns));
    CHECK(first_of(now_on(clock)));
    CHECK_FALSE(first_of(now_on(clock) + 1h));
    CHECK_FALSE(resolve_spec({.name = "t"_name, .clock = clock, .after = 1ns}, {})->was_past);
}

TEST_CASE("a relative time up to the end of the clock is accepted, and one beyond it refused")
{
    const auto most = end_of_clock - now_on(Clock::boottime) - 1h;
    CHECK(wrong_field_of({.name = "t"_name, .clock = Clock::boottime, .after = most}) == "(none)");
    CHECK(wrong_field_of({.name = "t"_name, .clock = Clock::boottime, .after = most + 1h + 1ns}) ==
          "afterNSec");
}

} // namespace
} // namespace evfd::daemon
