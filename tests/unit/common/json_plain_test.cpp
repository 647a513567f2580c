#include "common/json_plain.h"
#include "common/limits.h"
#include "tests/support/catch.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace evfd::json {
namespace {

// A handler that records each call of the reader.
class RecordingHandler {
public:
    explicit RecordingHandler(int max_calls = 100) : calls_left_{max_calls} {}

    bool null() { return record("null"); }
    bool boolean(bool value) { return record(value ? "true" : "false"); }
    bool number_integer(std::int64_t value) { return record(std::to_string(value)); }
    bool string(std::string_view value) { return record('\'' + std::string{value} + '\''); }
    bool key(std::string_view value) { return record(std::string{value} + '='); }
    bool start_object(std::size_t) { return record("{"); }
    bool end_object() { return record("}"); }
    bool start_array(std::size_t) { return record("["); }
    bool end_array() { return record("]"); }

    const std::string& calls() const { return calls_; }

private:
    bool record(std::string_view call)
    {
        (calls_ += calls_.empty() ? "" : " ") += call;
        return --calls_left_ > 0;
    }
    std::string calls_;
    int calls_left_;
};

bool is_plain(std::string_view text)
{
    RecordingHandler handler;
    return PlainReader{text, handler}.read();
}

TEST_CASE("a plain text is read")
{
    const auto [text, calls] = GENERATE(table<std::string, std::string>({
        {"null", "null"},
        {"true", "true"},
        {"false", "false"},
        {"0", "0"},
        {"-0", "0"},
        {"-120", "-120"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {R"("")", "''"},
        {R"("a b~")", "'a b~'"},
        {"{}", "{ }"},
        {"[]", "[ ]"},
        {R"([1,[2],"x"])", "[ 1 [ 2 ] 'x' ]"},
        {R"({"a":1,"":{"b":[]}})", "{ a= 1 = { b= [ ] } }"},
        {" \t\r\n{ \"a\" : [ ] , \"a\" : null } \n", "{ a= [ ] a= null }"},
    }));
    INFO(text);
    RecordingHandler handler;

    CHECK(PlainReader{std::string_view{text}, handler}.read());

    CHECK(handler.calls() == calls);
}

TEST_CASE("JSON text that is not plain is left to another parser")
{
    CHECK_FALSE(is_plain(R"("\n")"));
    CHECK_FALSE(is_plain(R"("\u0061")"));
    CHECK_FALSE(is_plain(R"({"\u0061":1})"));
    CHECK_FALSE(is_plain("\"\xc3\xa9\""));
    CHECK_FALSE(is_plain("\"\x7f\""));
    CHECK_FALSE(is_plain("1.5"));
    CHECK_FALSE(is_plain("1e3"));
    CHECK_FALSE(is_plain("9223372036854775808"));
    CHECK_FALSE(is_plain("\xef\xbb\xbf{}"));
}

TEST_CASE("text that is not JSON is not plain")
{
    const auto* const text =
        GENERATE("", " ", "-", "01", "-01", "00", "+1", "1a", "nul", "nulll", "True", "\"", "\"a",
                 "\"\n\"", "'a'", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "]", "{", "{\"",
                 "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\",1}",
                 "{a:1}", "{1:1}", "{\"a\":1]", "{}{}", "{},", "1 // one", "/**/1");
    INFO(text);
    CHECK_FALSE(is_plain(text));
}

TEST_CASE("the depth of a plain text is limited")
{
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(is_plain(nested(max_json_depth)));
    CHECK_FALSE(is_plain(nested(100'000)));
}

TEST_CASE("reading ends when the handler refuses something")
{
    constexpr std::string_view text = R"({"a":[1,"b",true,null],"c":{}})";
    RecordingHandler whole;
    REQUIRE(PlainReader{text, whole}.read());
    constexpr int calls = 12;
    const auto allowed = GENERATE(range(1, calls + 1));
    RecordingHandler handler{allowed};

    CHECK_FALSE(PlainReader{text, handler}.read());

    CHECK(whole.calls().starts_with(handler.calls()));
    CHECK((handler.calls() == whole.calls()) == (allowed == calls));
}

} // namespace
} // namespace evfd::json
