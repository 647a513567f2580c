#include "common/printable.h"

#include "tests/support/catch.h"

#include <string>
#include <string_view>

namespace evfd {
namespace {

using namespace std::string_literals;

TEST_CASE("terminal control characters are not printable, and all other text is unchanged")
{
    const auto [text, clean] = GENERATE(table<std::string, std::string>({
        {"", ""},
        {"evfdd 1.0 (ü, 東, 🙂)", "evfdd 1.0 (ü, 東, 🙂)"},
        {"\x1b]0;title\x07\x1b[31mred", "?]0;title??[31mred"},
        {"a\nb\tc\rd", "a?b?c?d"},
        {"\x7f\0\x1f"s, "???"},
        // The input contains C1 control characters, encoded in UTF-8.
        {"\xc2\x9b"
         "31m\xc2\x80\xc2\x9f\xc2\xa0",
         "?31m??\xc2\xa0"},
        // The input contains a C1 control character as a single byte.
        {"\x9b"
         "31m",
         "?31m"},
        // The input contains overlong encodings.
        {"\xc1\x9b|\xe0\x82\x9b|\xf0\x80\x82\x9b", "??|???|????"},
        {"\xc3", "?"}, // The second byte of this character is missing.
        {"\xe6\x9d", "??"},
        {"\xff\xfe", "??"},
    }));
    CAPTURE(text);
    CHECK(printable(text) == clean);
}

TEST_CASE("line ends and tabs of multi-line text are kept, and other control characters are not")
{
    CHECK(printable_lines("a\tb\n\x1b[2Jc\r\n") == "a\tb\n?[2Jc?\n");
    CHECK(printable_lines("\xc2\x9b"
                          "2J\n") == "?2J\n");
}

TEST_CASE("JSON keeps its meaning when control characters that it leaves raw are escaped")
{
    CHECK(printable_json(R"({"a":"\u001bü"})") == R"({"a":"\u001bü"})");
    CHECK(printable_json("\"\x7f\xc2\x9b\"") == R"("\u007f\u009b")");
}

} // namespace
} // namespace evfd
