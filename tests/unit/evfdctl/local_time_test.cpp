#include "client/evfdctl/output/local_time.h"

#include "tests/support/catch.h"
#include "tests/support/time_zone_scope.h"

#include <ctime>
#include <string>

namespace evfd {
namespace {

using namespace std::chrono_literals;

WallTime at(std::string_view rfc3339)
{
    const auto timestamp = parse_timestamp(rfc3339, WallTime{});
    REQUIRE(timestamp);
    return WallTime{timestamp->since_zero};
}

std::string read(std::string_view text, WallTime now = WallTime{})
{
    const auto timestamp = parse_timestamp(text, now);
    return timestamp ? to_rfc3339(WallTime{timestamp->since_zero}) : "none";
}

TEST_CASE("an RFC 3339 timestamp is parsed exactly")
{
    const auto [text, timestamp] = GENERATE(table<std::string, std::string>({
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"2026-01-31T08:30:00Z", "2026-01-31T08:30:00Z"},
        {"2026-01-31t08:30:00z", "2026-01-31T08:30:00Z"},
        {"2026-01-31 08:30:00Z", "2026-01-31T08:30:00Z"},
        {"2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00.5Z"},
        {"2026-01-31T08:30:00.123456789Z", "2026-01-31T08:30:00.123456789Z"},
        {"2026-01-31T08:30:00+01:00", "2026-01-31T07:30:00Z"},
        {"2026-01-31T00:00:00+14:00", "2026-01-30T10:00:00Z"},
        {"2026-01-31T23:30:00-05:45", "2026-02-01T05:15:00Z"},
        {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
        {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
        {"2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775807Z"},
        {"@0", "1970-01-01T00:00:00Z"},
        {"@12.5", "1970-01-01T00:00:12.5Z"},
        {"@9223372036.854775807", "2262-04-11T23:47:16.854775807Z"},
    }));
    INFO(text);
    CHECK(read(text) == timestamp);
    CHECK(parse_timestamp(text, WallTime{})->is_clock_neutral == text.starts_with('@'));
}

TEST_CASE("a malformed timestamp is refused")
{
    const auto text = GENERATE(
        as<std::string>{}, "", " ", "now", "@", "@-1", "@1e3", "@5m", "@1s", "@0x10", "@1.",
        "@9223372036.854775808", "@ 1", "8:30", "08:3", "08:30:", "08:30:0", "24:00", "08:60",
        "08:30:60", "08:30Z", "08:30:00.5", "0830", " 08:30", "08:30 ", "2026-01-31",
        "2026-01-31T08:30Z", "2026-01-31T08:30:00", "2026-01-31T08:30:00.Z",
        "2026-01-31T08:30:00.1234567890Z", "2026-01-31T08:30:00+0100", "2026-01-31T08:30:00+1:00",
        "2026-01-31T08:30:00+24:00", "2026-01-31T08:30:00Z ", "2026-01-31T08:30:61Z",
        "2026-01-31T24:00:00Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "26-01-31T08:30:00Z",
        "1969-12-31T23:59:59Z", "1970-01-01T00:30:00+01:00", "2262-04-11T23:47:16.854775808Z",
        "9999-12-31T23:59:59Z", "-2026-01-31T08:30:00Z", std::string("08:30\0", 6));
    INFO(text);
    CHECK(read(text) == "none");
}

TEST_CASE("a time of day is the next one in the local time zone")
{
    const TimeZoneScope zone{"CET-1CEST,M3.5.0,M10.5.0/3"};
    const auto [now, text, timestamp] = GENERATE(table<std::string, std::string, std::string>({
        {"2026-01-31T07:00:00Z", "08:30", "2026-01-31T07:30:00Z"},
        {"2026-01-31T07:00:00Z", "08:30:15", "2026-01-31T07:30:15Z"},
        // If the time of day is exactly now, the next such time is tomorrow.
        {"2026-01-31T07:30:00Z", "08:30", "2026-02-01T07:30:00Z"},
        {"2026-01-31T07:29:59.999999999Z", "08:30", "2026-01-31T07:30:00Z"},
        {"2026-01-31T08:00:00Z", "08:30", "2026-02-01T07:30:00Z"},
        {"2026-12-31T23:30:00Z", "00:00", "2027-01-01T23:00:00Z"},
        {"2026-07-01T05:00:00Z", "08:30", "2026-07-01T06:30:00Z"}, // The date is in summer time.
        // Summer time starts on the day of the result.
        {"2026-03-28T12:00:00Z", "08:30", "2026-03-29T06:30:00Z"},
        // Summer time ends on the day of the result.
        {"2026-10-24T12:00:00Z", "08:30", "2026-10-25T07:30:00Z"},
    }));
    INFO(now << ' ' << text);
    CHECK(read(text, at(now)) == timestamp);
}

TEST_CASE("times for people are local times")
{
    const TimeZoneScope zone{"CET-1CEST,M3.5.0,M10.5.0/3"};
    CHECK(to_local_text(at("2026-01-31T08:30:00.5Z")) == "2026-01-31 09:30:00 CET");
    CHECK(to_local_text(at("2026-07-31T22:30:59Z")) == "2026-08-01 00:30:59 CEST");
    CHECK(to_local_time_of_day(at("2026-01-31T08:30:07.0459Z")) == "09:30:07.045");
}

} // namespace
} // namespace evfd
