#include "common/clock.h"
#include "tests/support/catch.h"

#include <cstdint>
#include <limits>

namespace evfd {
namespace {

using namespace std::chrono_literals;

constexpr auto max_ns = std::numeric_limits<std::int64_t>::max();

TEST_CASE("a duration is parsed exactly, to the nanosecond")
{
    const auto [text, span] = GENERATE(table<std::string, nanoseconds>({
        {"0", 0ns},
        {"0s", 0ns},
        {"7", 7s},
        {"1.5", 1500ms},
        {"007", 7s},
        {"1ns", 1ns},
        {"250us", 250us},
        {"3ms", 3ms},
        {"1.5s", 1500ms},
        {"2m", 2min},
        {"1h", 1h},
        {"1d", 24h},
        {"1m30s", 90s},
        {"1d2h3m4s5ms6us7ns", 26h + 3min + 4s + 5ms + 6us + 7ns},
        {"1m30.5s", 90'500ms},
        {"1.5m30s", 120s},
        {"0.000000001", 1ns},
        {"0.000000001s", 1ns},
        {"0.001us", 1ns},
        {"0.1s", 100ms},
        {"1.100000000000000000s", 1100ms},
        {"0.0000152587890625d", 1'318'359'375ns},
        {"9223372036.854775807", nanoseconds{max_ns}},
        {"9223372036854775807ns", nanoseconds{max_ns}},
        {"106751d", 106'751 * 24h},
    }));
    INFO(text);

    const auto parsed = parse_duration(text);

    REQUIRE(parsed);
    CHECK(parsed->count() == span.count());
}

TEST_CASE("a malformed duration is refused")
{
    const auto text = GENERATE(
        as<std::string>{}, "", " ", "s", ".", ".5", "5.", "5.s", "-1", "-1s", "+1", " 1s", "1s ",
        "1 s", "1x", "1S", "1sec", "1s1", "1m30", "1s1s", "30s1m", "1ms1s", "1e3", "0x10", "1,5",
        "1..5s", "1.5.5s", "inf", "nan", "0.5ns", "1.5ns", "0.0000000001s", "0.0000000001",
        "9223372036854775808ns", "9223372036.854775808", "9223372036854775807s", "106752d",
        "18446744073709551616", "99999999999999999999999999999999999999999999999999d",
        "106751d23h47m16.854775808s", std::string("1\0", 2));
    INFO(text);

    CHECK_FALSE(parse_duration(text));
}

TEST_CASE("a duration is printed in descending units, as it is parsed")
{
    const auto [span, text] = GENERATE(table<nanoseconds, std::string>({
        {0ns, "0s"},
        {1ns, "1ns"},
        {999ns, "999ns"},
        {1us, "1us"},
        {1'500ns, "1.5us"},
        {20ms, "20ms"},
        {1'001'001ns, "1.001001ms"},
        {1s, "1s"},
        {1'500ms, "1.5s"},
        {59s + 1ns, "59.000000001s"},
        {1min, "1m"},
        {90'500ms, "1m30.5s"},
        {1min + 20ms, "1m20ms"},
        {1h, "1h"},
        {24h + 1s, "1d1s"},
        {nanoseconds{max_ns}, "106751d23h47m16.854775807s"},
    }));

    CHECK(to_text(span) == text);
    CHECK(parse_duration(text) == span);
}

TEST_CASE("a fraction of any length is refused instead of rounded")
{
    const auto zeros = GENERATE(range(17, 300));
    INFO(zeros);
    const auto digits = std::string(static_cast<std::size_t>(zeros), '0');

    CHECK_FALSE(parse_duration("0." + digits + "1s"));
    CHECK(parse_duration("0." + digits + "s").has_value() == (zeros <= 18));
}

TEST_CASE("a timestamp is printed in RFC 3339 with as many digits as it needs")
{
    const auto [since_1970, text] = GENERATE(table<std::int64_t, std::string>({
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.000000001Z"},
        {1'769'848'200'500'000'000, "2026-01-31T08:30:00.5Z"},
        {1'769'848'200'000'120'000, "2026-01-31T08:30:00.00012Z"},
        {951'782'399'999'999'999, "2000-02-28T23:59:59.999999999Z"},
        {951'782'400'000'000'000, "2000-02-29T00:00:00Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {max_ns, "2262-04-11T23:47:16.854775807Z"},
    }));

    CHECK(to_rfc3339(WallTime{nanoseconds{since_1970}}) == text);
}

TEST_CASE("a duration is split into seconds and the nanoseconds within them")
{
    const auto [span, seconds, nanosecond_part] = GENERATE(table<nanoseconds, std::time_t, long>({
        {0ns, 0, 0},
        {999'999'999ns, 0, 999'999'999},
        {1s, 1, 0},
        {90'500ms, 90, 500'000'000},
        {nanoseconds{max_ns}, 9'223'372'036, 854'775'807},
    }));

    const auto converted = to_timespec(span);

    CHECK(converted.tv_sec == seconds);
    CHECK(converted.tv_nsec == nanosecond_part);
}

TEST_CASE("a deadline lies after now and stops at the end of the clock")
{
    const auto before = monotonic_now();

    CHECK(monotonic_deadline(1h) >= before + 1h);
    CHECK(monotonic_deadline(0ns) >= before);
    CHECK(monotonic_deadline(nanoseconds::max()) == MonotonicTime::max());
    CHECK(add_saturating(MonotonicTime::max(), 1ns) == MonotonicTime::max());
    CHECK(add_saturating(MonotonicTime::max() - 2ns, 1ns) == MonotonicTime::max() - 1ns);
    const auto past = monotonic_deadline(-1h);
    CHECK(past <= monotonic_now() - 1h);
}

TEST_CASE("the time until a deadline is never negative")
{
    CHECK(time_until(MonotonicTime::min()) == 0ns);
    CHECK(time_until(monotonic_now()) == 0ns);
    CHECK(time_until(MonotonicTime::max()) > 0ns);

    const auto left = time_until(monotonic_now() + 1h);
    CHECK(left > 0ns);
    CHECK(left <= 1h);
}

TEST_CASE("each clock is the kernel's own")
{
    const auto read = [](clockid_t clock) {
        std::timespec time{};
        REQUIRE(::clock_gettime(clock, &time) == 0);
        return std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
    };

    const auto early = read(CLOCK_MONOTONIC);
    const auto now = monotonic_now().time_since_epoch();
    CHECK(early <= now);
    CHECK(now <= read(CLOCK_MONOTONIC));

    const auto since_1970 = wall_now().time_since_epoch();
    const auto apart = read(CLOCK_REALTIME) - since_1970;
    CHECK(std::chrono::abs(apart) < 24h); // A clock with another epoch would differ by decades.
}

} // namespace
} // namespace evfd
