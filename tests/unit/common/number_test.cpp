#include "common/number.h"

#include "tests/support/catch.h"

#include <cstdint>

namespace evfd {
namespace {

TEST_CASE("a text that is a whole number is read")
{
    CHECK(parse_number<int>("0") == 0);
    CHECK(parse_number<int>("-17") == -17);
    CHECK(parse_number<std::uint8_t>("255") == 255);
    CHECK(parse_number<unsigned>("0644", 8) == 0644U);
    CHECK(parse_number<unsigned>("ff", 16) == 0xffU);
}

TEST_CASE("a text that is more or less than a number is refused")
{
    const auto* text = GENERATE("", "+1", " 1", "1 ", "1x", "x", "0x1", "1.5", "-");
    CAPTURE(text);
    CHECK_FALSE(parse_number<int>(text));
}

TEST_CASE("a number that does not fit is refused")
{
    CHECK_FALSE(parse_number<std::uint8_t>("256"));
    CHECK_FALSE(parse_number<unsigned>("-1"));
    CHECK_FALSE(parse_number<unsigned>("8", 8));
    CHECK_FALSE(parse_number<std::int64_t>("9223372036854775808"));
}

} // namespace
} // namespace evfd
