#include "common/json.h"
#include "common/limits.h"
#include "tests/support/catch.h"

#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

namespace evfd::json {
namespace {

// Returns the value as text: "key=value" for each member of an object and "value" for each element
// of an array. A nested container is enclosed in its own brackets.
std::string outline(Value value)
{
    std::string text;
    switch (value.kind()) {
    case Kind::null: return "null";
    case Kind::boolean: return value.boolean() ? "true" : "false";
    case Kind::integer: return std::to_string(value.integer());
    case Kind::number: return "number";
    case Kind::string: return "'" + std::string{value.string()} + "'";
    case Kind::array:
        value.elements([&](Value element) {
            text += (text.empty() ? "" : " ") + outline(element);
            return true;
        });
        return "[" + text + "]";
    case Kind::object:
        value.members([&](std::string_view key, Value member) {
            text += (text.empty() ? "" : " ") + std::string{key} + "=" + outline(member);
            return true;
        });
        return "{" + text + "}";
    case Kind::too_deep: return "deep";
    }
    return {};
}

TEST_CASE("a value of each kind is parsed as its kind")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"null", "null"},
        {"true", "true"},
        {"false", "false"},
        {R"("")", "''"},
        {R"("a b")", "'a b'"},
        {"[]", "[]"},
        {"{}", "{}"},
        {" \t\r\n{ } \n", "{}"},
        {"[1,[2,[3]],4]", "[1 [2 [3]] 4]"},
        {R"({"a":{"b":[1,{"c":2}]},"d":3})", "{a={b=[1 {c=2}]} d=3}"},
        {R"({"":{}})", "{={}}"},
    }));
    INFO(text);

    Document document;
    const auto value = document.parse(text);

    REQUIRE(value);
    CHECK(outline(*value) == expected);
}

TEST_CASE("an integer of 63 bits and a sign is an integer, and every other number a plain number")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"0", "0"},
        {"-0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "number"},
        {"18446744073709551615", "number"},
        {"18446744073709551616", "number"},
        {"-9223372036854775809", "number"},
        {"1.5", "number"},
        {"1.0", "number"},
        {"1e3", "number"},
        {"-0.0", "number"},
        {"1E+2", "number"},
        {"1e999", "number"},
        {"-1e309", "number"},
        {"1.5e+400", "number"},
        {std::string(400, '9'), "number"},
        {'-' + std::string(400, '9') + ".25e9", "number"},
    }));
    INFO(text);

    Document document;
    const auto value = document.parse(text);

    REQUIRE(value);
    CHECK(outline(*value) == expected);
}

TEST_CASE("escapes and UTF-8 are parsed as the text that they stand for")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {R"("\"\\\/\b\f\n\r\t")", "\"\\/\b\f\n\r\t"},
        {R"("\u0041\u00e9\u20ac")", "A\xc3\xa9\xe2\x82\xac"},
        {R"("\ud83d\ude00")", "\xf0\x9f\x98\x80"},
        {"\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80"},
        {R"("\u0001\u001f")", "\x01\x1f"},
        {"\"\x7f\"", "\x7f"},
        {R"("a\u0000b")", std::string{"a\0b", 3}},
    }));
    INFO(text);

    Document document;
    const auto value = document.parse(text);

    REQUIRE(value);
    REQUIRE(value->kind() == Kind::string);
    CHECK(value->string() == expected);
}

TEST_CASE("repeated keys are all visited in order")
{
    Document document;
    const auto value = document.parse(R"({"a":1,"b":2,"a":3})");

    REQUIRE(value);
    CHECK(outline(*value) == "{a=1 b=2 a=3}");
}

TEST_CASE("an iteration over members or elements stops when the visitor returns false")
{
    Document document;
    const auto value = document.parse(R"({"a":[1,2,3],"b":[4]})");
    REQUIRE(value);

    std::string seen;
    const bool whole = value->members([&](std::string_view key, Value member) {
        seen += key;
        CHECK(member.elements([](Value element) { return element.integer() != 9; }));
        CHECK_FALSE(member.elements([&](Value element) {
            seen += std::to_string(element.integer());
            return false;
        }));
        return key != "a";
    });

    CHECK_FALSE(whole);
    CHECK(seen == "a1");
}

TEST_CASE("a number beyond a double does not disturb the other values")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {R"([1e999,12345,"1e999",{"1e999":-0.25},1e-999])",
         "[number 12345 '1e999' {1e999=number} number]"},
        {R"(["\"1e999","\\",1e999, -1e999 ,123456789])",
         "['\"1e999' '\\' number number 123456789]"},
    }));
    INFO(text);

    Document document;
    const auto value = document.parse(text);

    REQUIRE(value);
    CHECK(outline(*value) == expected);
}

TEST_CASE("a malformed JSON text is refused")
{
    const auto [text, parse_error] = GENERATE(table<std::string, std::string>({
        {"", "not JSON"},
        {" ", "not JSON"},
        {"{", "not JSON"},
        {"[1,2", "not JSON"},
        {"[1,]", "not JSON"},
        {"{\"a\":1,}", "not JSON"},
        {"{\"a\"}", "not JSON"},
        {"{a:1}", "not JSON"},
        {"{'a':1}", "not JSON"},
        {"nul", "not JSON"},
        {"NaN", "not JSON"},
        {"01", "not JSON"},
        {"+1", "not JSON"},
        {".5", "not JSON"},
        {"0x10", "not JSON"},
        {"1 // one", "not JSON"},
        {"/* one */1", "not JSON"},
        {"{}{}", "not JSON"},
        {"{} x", "not JSON"},
        {std::string("{}\0", 3), "not JSON"},
        {std::string("{}\0{}", 5), "not JSON"},
        {std::string("\"a\0b\"", 5), "not JSON"},
        {"\"open", "not JSON"},
        {"\"\n\"", "not JSON"},
        {"\"\\x41\"", "not JSON"},
        {R"("\u12")", "not JSON"},
        {"[1e999", "not JSON"},
        {"[1e999,]", "not JSON"},
        {"[1e999 1]", "not JSON"},
        {"[1e999,01]", "not JSON"},
        {"[01e999]", "not JSON"},
        {"[1e999.5]", "not JSON"},
        {"[1e999,1.e999]", "not JSON"},
        {"[1e999,1e]", "not JSON"},
        {"[1e999,12345.]", "not JSON"},
        {"[1e999,12345678e+]", "not JSON"},
        {"[1e999,-]", "not JSON"},
        {"[1e999,+10000]", "not JSON"},
        {"[1e999,\"10000]", "not JSON"},
        {"1e999e999", "not JSON"},
    }));
    INFO(text);

    Document document;
    const auto value = document.parse(text);

    REQUIRE_FALSE(value);
    CHECK(value.error() == parse_error);
}

TEST_CASE("invalid UTF-8 is refused")
{
    const auto bytes = GENERATE(as<std::string>{}, "\x80", "\xff", "\xfe", "\xc3", "\xe2\x82",
                                "\xc0\x80", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80",
                                "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xf8\x88\x80\x80\x80");
    Document document;

    CHECK_FALSE(document.parse('"' + bytes + '"'));
    CHECK_FALSE(document.parse("{\"" + bytes + "\":1}"));
    CHECK_FALSE(document.parse(bytes));
}

TEST_CASE("half of a surrogate pair is refused")
{
    const auto text = GENERATE(as<std::string>{}, R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")",
                               R"("\ud800x")", R"("\ud800\u0041")");
    Document document;

    CHECK_FALSE(document.parse(text));
}

std::string nested(std::size_t depth, std::string_view open, std::string_view close)
{
    std::string text;
    for (std::size_t i = 0; i < depth; ++i)
        text += open;
    text += "1";
    for (std::size_t i = 0; i < depth; ++i)
        text += close;
    return text;
}

TEST_CASE("a value that is nested too deeply is only marked as deep, however deep it goes")
{
    const auto [open, close] = GENERATE(table<std::string, std::string>({
        {"[", "]"},
        {R"({"a":)", "}"},
    }));
    Document document;

    const auto innermost = [&](std::size_t depth) {
        const auto whole = document.parse(nested(depth, open, close));
        REQUIRE(whole);
        auto text = outline(*whole);
        text.erase(0, text.find_last_of("[=") + 1);
        return text.substr(0, text.find_first_of("]}"));
    };

    CHECK(innermost(max_json_depth) == "1");
    CHECK(innermost(max_json_depth + 1) == "deep");
    CHECK(innermost(100'000) == "deep");
}

TEST_CASE("values that are nested too deeply count towards the limit")
{
    Document document;
    auto text = nested(max_json_depth + 3, "[", "]");
    std::string more;
    for (int i = 0; i < 100; ++i)
        more += ",1";
    text.insert(text.find('1') + 1, more);
    CHECK(document.parse(text, 200));
    CHECK_FALSE(document.parse(text, 100));
}

TEST_CASE(
    "a value that is nested too deeply must be valid JSON, and the values after it are parsed")
{
    Document document;
    const auto deep = nested(max_json_depth + 3, "[", "]");

    const auto whole = document.parse(R"({"a":)" + deep + R"(,"b":2})");
    REQUIRE(whole);
    CHECK(outline(*whole).ends_with(" b=2}"));

    CHECK_FALSE(document.parse(std::string(100'000, '[')));
    CHECK_FALSE(document.parse(deep + ']'));
    CHECK_FALSE(document.parse(nested(max_json_depth + 3, "[", "],")));
}

TEST_CASE("the nesting depth counts open containers and not closed ones")
{
    std::string text = "[";
    for (std::size_t i = 0; i < 4 * max_json_depth; ++i)
        text += "[],{},";
    Document document;

    CHECK(document.parse(text + "[]]"));
}

TEST_CASE("a document parses a second text as if it were its first")
{
    Document document;
    REQUIRE(document.parse(R"({"a":["long enough to be somewhere else",1,2,3]})"));
    REQUIRE_FALSE(document.parse(R"({"b":[)"));

    const auto value = document.parse(R"({"c":["x"]})");

    REQUIRE(value);
    CHECK(outline(*value) == "{c=['x']}");
}

// Parses the text and returns its outline, or an empty string if the text is refused.
std::string parsed(const std::string& text)
{
    Document document;
    const auto value = document.parse(text);
    return value ? outline(*value) : "";
}

// A text with a byte order mark is not plain, so only nlohmann's parser reads it.
std::string parsed_by_nlohmann(const std::string& text)
{
    return parsed("\xef\xbb\xbf" + text);
}

TEST_CASE("a plain text is parsed as nlohmann's parser parses it, and so is a slightly changed one")
{
    const auto text = GENERATE(
        as<std::string>{},
        R"({"method":"io.evfdd.Open","parameters":{"items":[{"name":"a/b","id":-120}]},"more":true})",
        R"( [ 0 , -1, 10, 9223372036854775807, null, false, "", {}, [] , "~ }" ] )");
    REQUIRE_FALSE(parsed(text).empty());
    CHECK(parsed(text) == parsed_by_nlohmann(text));
    const auto c = GENERATE(values<char>({'"', '\\', '{',  '}',  '[',  ']',    ':',    ',',   '-',
                                          '+', '.',  '0',  '1',  'e',  'E',    't',    'n',   'u',
                                          '/', ' ',  '\t', '\n', '\0', '\x1f', '\x7f', '\x80'}));
    for (std::size_t at = 0; at <= text.size(); ++at) {
        const auto inserted = std::string{text}.insert(at, 1, c);
        const auto replaced = std::string{text}.replace(at, 1, 1, c);
        const auto removed = std::string{text}.replace(at, 1, "");
        for (const auto& changed : {inserted, replaced, removed}) {
            INFO(changed);
            CHECK(parsed(changed) == parsed_by_nlohmann(changed));
        }
    }
}

TEST_CASE("every text is written as a string that parses to the same text")
{
    std::string text = "\"\\/ \xc3\xa9\xf0\x9f\x98\x80\x7f";
    for (char c = 1; c < 0x20; ++c)
        text += c;
    std::string written;
    append_string(written, text);

    Document document;
    const auto value = document.parse(written);

    REQUIRE(value);
    REQUIRE(value->kind() == Kind::string);
    CHECK(value->string() == text);
}

TEST_CASE("a string is written with the escapes of RFC 8259 and no others")
{
    std::string out = "x";
    append_string(out, "a\"b\\c\n\x1f/\xc3\xa9");
    CHECK(out == "x\"a\\\"b\\\\c\\u000a\\u001f/\xc3\xa9\"");
}

TEST_CASE("a key is written after a comma, unless it is the first one of its object")
{
    std::string out = "[{";
    append_key(out, "first");
    out += "{}";
    append_key(out, "second");
    CHECK(out == R"([{"first":{},"second":)");
}

TEST_CASE("an integer is written with all digits")
{
    const auto value =
        GENERATE(as<std::int64_t>{}, 0, 7, -1, std::numeric_limits<std::int64_t>::max(),
                 std::numeric_limits<std::int64_t>::min());
    std::string out = "x";
    append_integer(out, value);
    CHECK(out == "x" + std::to_string(value));
}

// Returns the value at the end of a path of keys and positions, such as {"c", "#1"}.
Value at(Value value, const std::vector<std::string>& path)
{
    for (const auto& step : path) {
        auto found = value.find(step);
        auto position = step.front() == '#' ? std::stoul(step.substr(1)) : 0;
        if (!found)
            value.elements([&](Value element) {
                found = element;
                return position-- > 0;
            });
        REQUIRE(found);
        value = *found;
    }
    return value;
}

TEST_CASE("a value of a text with lines knows its line and its path")
{
    Document document;
    // The C++ comment after each line of the JSON text is the number of that line.
    const auto root = document.parse_with_lines("// first\n"               // 1
                                                "{ /* and\n"               // 2
                                                "  more */ \"a\": 1,\n"    // 3
                                                "  \"b\":\n"               // 4
                                                "     2\n"                 // 5
                                                "  ,\"c\": [\n"            // 6
                                                "     true,\n"             // 7
                                                "     { // \"x\": 1\n"     // 8
                                                "       \"x\": \"y\\n\"\n" // 9
                                                "     }, 7\n"              // 10
                                                "  ],\n"                   // 11
                                                "  \"d\": -5\n"            // 12
                                                "}");
    REQUIRE(root);
    const auto [path, line, text] =
        GENERATE(table<std::vector<std::string>, std::size_t, std::string>({
            {{}, 2, ""},
            {{"a"}, 3, "a"},
            {{"b"}, 5, "b"},
            {{"c"}, 6, "c"},
            {{"c", "#0"}, 7, "c[0]"},
            {{"c", "#1"}, 8, "c[1]"},
            {{"c", "#1", "x"}, 9, "c[1].x"},
            {{"c", "#2"}, 10, "c[2]"},
            {{"d"}, 12, "d"},
        }));
    CAPTURE(text);
    const auto value = at(*root, path);
    CHECK(document.line_of(value) == line);
    CHECK(document.path_of(value) == text);
}

TEST_CASE("a key of a text with lines knows its line and its path")
{
    Document document;
    const auto root = document.parse_with_lines("{\"a\":\n1, \"b\":\n{\n\"c\":\n[]}}");
    REQUIRE(root);
    const auto b = at(*root, {"b"});
    CHECK(b.key().string() == "b");
    CHECK(document.line_of(b.key()) == 2);
    CHECK(document.line_of(b) == 3);
    CHECK(document.path_of(b.key()) == "b");
    CHECK(document.line_of(at(b, {"c"}).key()) == 4);
    CHECK(document.path_of(at(b, {"c"}).key()) == "b.c");
}

TEST_CASE("a member is found by its key, the first of several")
{
    Document document;
    const auto root = document.parse(R"({"a":1,"b":[2],"a":3})");
    REQUIRE(root);
    CHECK(root->find("a")->integer() == 1);
    CHECK_FALSE(root->find("c"));
    CHECK_FALSE(root->find("b")->find("b"));
}

TEST_CASE("a number that is no integer keeps its text")
{
    Document document;
    const auto* const text = GENERATE("1.50", "-0.0", "1e3", "18446744073709551615");
    const auto value = document.parse(text);
    REQUIRE(value);
    CHECK(value->string() == text);
}

TEST_CASE("a malformed text with lines is refused with line and reason")
{
    const auto [text, line, reason] = GENERATE(table<std::string, std::size_t, std::string>({
        {"{\n\"a\": 1,\n}", 3, "unexpected '}'; expected string literal"},
        {"{\n\"a\": b\n}", 2, "invalid literal"},
        {"{}\n\n{}", 3, "unexpected '{'; expected end of input"},
        {"{\n\"a\": \"\xff\"}", 2, "invalid string: ill-formed UTF-8 byte"},
        {"{\n/* never closed\n\n", 3, "invalid comment; missing closing '*/'"},
        {"{\"a\": 1e999}", 1, "number overflow parsing '1e999'"},
        {std::string{"{}\n\0{", 5}, 2, "unexpected zero byte"},
    }));
    CAPTURE(text);
    Document document;
    const auto root = document.parse_with_lines(text);
    REQUIRE_FALSE(root);
    CHECK(root.error().line == line);
    CHECK(root.error().reason == reason);
}

TEST_CASE("a comment is refused in a text without lines")
{
    Document document;
    CHECK_FALSE(document.parse("{} // all"));
    CHECK(document.parse_with_lines("{} // all"));
    CHECK_FALSE(document.parse("{} // all"));
}

TEST_CASE("the stored depth of a text with lines is limited")
{
    Document document;
    CHECK(document.parse_with_lines(std::string(100'000, '[') + std::string(100'000, ']')));
    CHECK(document.parse_with_lines(R"({"a":[[[[[[[[[[[[[[[[[[{"b":1}]]]]]]]]]]]]]]]]]],"c":1})"));
    CHECK(document.parse_with_lines("{}"));
}

TEST_CASE("the summary of a value is as it is written, and short")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"null", "null"},
        {"true", "true"},
        {"-12", "-12"},
        {"1.5", "1.5"},
        {"18446744073709551615", "18446744073709551615"},
        {R"("a\"\nb")", R"("a\"\u000ab")"},
        {"[1]", "a list"},
        {"{}", "an object"},
        {'"' + std::string(100, 'x') + '"', '"' + std::string(60, 'x') + '"'},
        {'"' + std::string(59, 'x') + "\u00e9\"", '"' + std::string(59, 'x') + '"'},
    }));
    Document document;
    const auto value = document.parse(text);
    REQUIRE(value);
    CHECK(summary(*value) == expected);
}

} // namespace
} // namespace evfd::json
