#include "common/limits.h"
#include "common/name.h"
#include "tests/catch.h"

namespace evfd {
namespace {

TEST_CASE("a name is segments joined by single slashes")
{
    const auto text = GENERATE(as<std::string>{}, "a", "db/ready", "a/b/c/d/e", "0", "...", ".a",
                               "a.", "..a", "a/.b/..c", "A-Z_a-z.0-9@host:80+1",
                               "user@1000.service", "-", std::string(max_name_bytes, 'x'));
    INFO(text);

    const auto name = Name::parse(text);

    REQUIRE(name);
    CHECK(name->text() == text);
}

TEST_CASE("what is not a name is refused")
{
    const auto text = GENERATE(as<std::string>{}, "", "/", "/a", "a/", "a//b", ".", "..", "a/.",
                               "a/..", "./a", "../a", "a/../b", "a b", " a", "a\n", "a\tb", "a*",
                               "a?b", "[a]", "a\\b", "~", "a,b", "\xc3\xa4", "\xff",
                               std::string("a\0b", 3), std::string(max_name_bytes + 1, 'x'));
    INFO(text);

    CHECK_FALSE(Name::parse(text));
}

TEST_CASE("every byte is in a name's alphabet or not")
{
    const std::string_view alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._@:+-";
    for (int byte = 0; byte < 256; ++byte) {
        const std::string text{'x', static_cast<char>(byte)};
        INFO(byte);
        CHECK(Name::parse(text).has_value() == alphabet.contains(static_cast<char>(byte)));
    }
}

TEST_CASE("names are in the order of their text")
{
    CHECK(*Name::parse("a") < *Name::parse("a/b"));
    CHECK(*Name::parse("a") < *Name::parse("b"));
    CHECK(*Name::parse("a") == *Name::parse("a"));
    CHECK(*Name::parse("a") != *Name::parse("A"));
}

TEST_CASE("a pattern selects names as the shell does")
{
    const auto [pattern, name, matches] = GENERATE(table<std::string, std::string, bool>({
        {"db/ready", "db/ready", true},
        {"db/ready", "db/read", false},
        {"*", "db", true},
        {"*", "db/ready", false},
        {"*/*", "db/ready", true},
        {"db/*", "db/ready", true},
        {"db/*", "db/a/ready", false},
        {"db/*", "db", false},
        {"d?", "db", true},
        {"d?b", "d/b", false},
        {"[a-d]b", "db", true},
        {"[!a-d]b", "db", false},
        {"d[/]b", "d/b", false},
        {"*", ".hidden", true},
        {"*.service", "user@1000.service", true},
        {"DB", "db", false},
        {"\\d\\b", "db", true},
    }));
    INFO(pattern << " on " << name);

    const auto parsed = Pattern::parse(pattern);

    REQUIRE(parsed);
    CHECK(parsed->text() == pattern);
    CHECK(parsed->matches(*Name::parse(name)) == matches);
}

TEST_CASE("the empty pattern matches every name")
{
    CHECK(Pattern{}.matches(*Name::parse("a")));
    CHECK(Pattern{}.matches(*Name::parse("db/ready/now")));
    CHECK(Pattern{}.text().empty());
}

TEST_CASE("a pattern has 1 to 255 bytes and no zero byte")
{
    CHECK(Pattern::parse(std::string(max_pattern_bytes, '*')));
    CHECK_FALSE(Pattern::parse(std::string(max_pattern_bytes + 1, '*')));
    CHECK_FALSE(Pattern::parse(""));
    CHECK_FALSE(Pattern::parse(std::string_view{"a\0b", 3}));
}

TEST_CASE("a pattern made to be slow is not")
{
    std::string text;
    while (text.size() + 2 < max_pattern_bytes)
        text += "*a";
    const auto pattern = Pattern::parse(text + "b");
    REQUIRE(pattern);

    // Backtracking over each star in turn would not end in a lifetime.
    CHECK_FALSE(pattern->matches(*Name::parse(std::string(max_name_bytes, 'a'))));
}

} // namespace
} // namespace evfd
