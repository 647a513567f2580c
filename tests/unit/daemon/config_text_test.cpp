#include "daemon/config/config_text.h"

#include "common/limits.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <string>
#include <tuple>

namespace evfd::daemon {
namespace {

// Returns the line of the value at the end of a path of keys and indexes.
std::size_t line_of(const ConfigValue& root, const std::vector<std::string>& path)
{
    const auto* value = &root;
    for (const auto& step : path) {
        value = step.front() == '#' ? &value->children.at(std::stoul(step.substr(1)))
                                    : value->find(step);
        REQUIRE(value);
    }
    return value->line;
}

// Returns "3 events[2].mode: why".
std::string error_text(std::string_view text)
{
    const auto read = read_config_text(text);
    if (read)
        return "none";
    return fmt::format("{} {}: {}", read.error().line, read.error().key, read.error().what);
}

TEST_CASE("config: a value knows its line")
{
    const auto root = read_config_text("// first\n"               // 1
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
    CHECK(line_of(*root, {}) == 2);
    CHECK(line_of(*root, {"a"}) == 3);
    CHECK(line_of(*root, {"b"}) == 5);
    CHECK(root->find("b")->key_line == 4);
    CHECK(line_of(*root, {"c"}) == 6);
    CHECK(line_of(*root, {"c", "#0"}) == 7);
    CHECK(line_of(*root, {"c", "#1"}) == 8);
    CHECK(line_of(*root, {"c", "#1", "x"}) == 9);
    CHECK(line_of(*root, {"c", "#2"}) == 10);
    CHECK(line_of(*root, {"d"}) == 12);
    CHECK(root->find("d")->integer == -5);
    CHECK_FALSE(root->find("e"));
}

TEST_CASE("config: a malformed text is refused with line, key and reason")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"", "1 : the file is empty; write {} into it, or delete it"},
        {"\n \t\r\n", "1 : the file is empty; write {} into it, or delete it"},
        {"{\n\"a\": 1,\n}", "3 : this is not JSON; correct it: unexpected '}'; expected string "
                            "literal"},
        {"{\n\"a\": b\n}", "2 : this is not JSON; correct it: invalid literal"},
        {"{}\n\n{}", "3 : this is not JSON; correct it: unexpected '{'; expected end of input"},
        {"{\n\"a\": \"\xff\"}",
         "2 : this is not JSON; correct it: invalid string: ill-formed UTF-8 "
         "byte"},
        {"{\n/* never closed\n\n", "3 : this is not JSON; correct it: invalid comment; missing "
                                   "closing '*/'"},
        {"{\"a\": 1e999}", "1 : this is not JSON; correct it: number overflow parsing '1e999'"},
        {"{\"a\": 1,\n\"b\": 2,\n\"a\": 3}", "3 a: this key is repeated; take one of them out"},
        {"{\"a\": {\"b\": 1,\n\n\"b\": 2}}", "3 a.b: this key is repeated; take one of them "
                                             "out"},
        {"{\"a\": [{}, {},\n{\"b\": [0, {\"c\": 1,\n\"c\": 2}]}]}",
         "3 a[2].b[1].c: this key is repeated; take one of them out"},
        {"{\"a\": [1,\n\"x\\u0000y\"]}",
         "2 a[1]: a string cannot contain a zero character; take it out"},
    }));
    CAPTURE(text);
    CHECK(error_text(text) == expected);
}

TEST_CASE("config: a zero byte does not end the text early")
{
    CHECK(error_text(std::string_view{"{}\n\0{", 5}) ==
          "2 : a file cannot contain a zero byte; take it out");
}

TEST_CASE("config: the nesting depth is limited")
{
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(error_text(nested(max_json_depth)) == "none");
    CHECK(error_text(nested(max_json_depth + 1)).contains("nested too deeply"));
    CHECK(error_text(std::string(1'000'000, '[')).contains("nested too deeply"));
}

TEST_CASE("config: a value is quoted as written, and shortened")
{
    const auto [text, shown] = GENERATE(table<std::string, std::string>({
        {"null", "null"},
        {"true", "true"},
        {"-12", "-12"},
        {"1.5", "1.5"},
        {"18446744073709551615", "18446744073709551615"},
        {R"("a\"\nb")", R"("a\"\u000ab")"},
        {"[1]", "a list"},
        {"{}", "an object"},
        {'"' + std::string(100, 'x') + '"', '"' + std::string(60, 'x') + '"'},
        {"\"x" + std::string(29, 'x') + std::string(20, 'x') + "xxxxxxxxx\u00e9\"",
         "\"x" + std::string(29, 'x') + std::string(20, 'x') + "xxxxxxxxx\""},
    }));
    const auto value = read_config_text(text);
    REQUIRE(value);
    CHECK(value->summary() == shown);
}

} // namespace
} // namespace evfd::daemon
