#include "common/pattern.h"

#include "common/limits.h"
#include "tests/support/catch.h"

#include <fnmatch.h>

#include <random>

namespace evfd {
namespace {

TEST_CASE("a pattern matches names as the shell does")
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
        {"d*\\/b", "dd/b", true},
        {"**", "db", true},
        {"**", "db/ready", true},
        {"db**", "db", true},
        {"db**", "db/a/ready", true},
        {"db**", "d", false},
        {"db/**", "db/a/ready", true},
        {"db/**", "db", false},
        {"**/ready", "db/a/ready", true},
        {"**/ready", "ready", false},
        {"a**b", "a/b", true},
        {"a**b*c", "a/b/b/c", false},
        {"a**b*c", "a/b/bc", true},
        {"***", "db/ready", true},
        {"*\\**", "db", false},
        {"*b*b", "abcab", true},
        {"*b*b", "acab", false},
        {"a*", "a", true},
        {"a*/*b", "a/b", true},
        {"a*/b", "ac/d/b", false},
        {"a?b", "ab", false},
        {"a[!b]c", "a/c", false},
        {"[]-]", "-", true},
        {"[b-]", "-", true},
        {"[:.=]", ":", true},
        {"[\\[:]", ":", true},
        {"[[-a]", "a", true},
        {"[z-a]", "m", false},
        {"[\\a-\\c]", "b", true},
        {"[ab", "a", false},
        {"a\\", "a", false},
    }));
    INFO(pattern << " on " << name);

    const auto parsed = Pattern::parse(pattern);

    REQUIRE(parsed);
    CHECK(parsed->text() == pattern);
    CHECK(parsed->matches(*Name::parse(name)) == matches);
}

TEST_CASE("the range of a pattern begins with the characters before the first special one")
{
    const auto [pattern, range] = GENERATE(table<std::string, NameRange>({
        {"db/ready", NameRange::only("db/ready")},
        {"\\d\\b", NameRange::only("db")},
        {"d[b]", NameRange::only("db")},
        {"db/*", NameRange::beginning_with("db/")},
        {"db/**", NameRange::beginning_with("db/")},
        {"db?", NameRange::beginning_with("db")},
        {"d[bc]x", NameRange::beginning_with("d")},
        {"d[!b]x", NameRange::beginning_with("d")},
        {"d[bx", NameRange::beginning_with("d")},
        {"z*z**z", NameRange::beginning_with("z")},
        {"z**z*z", NameRange::beginning_with("z")},
        {"a%b", NameRange::beginning_with("a")}, // No name has a percent sign.
        {"%ab*", NameRange{}},
        {"*db", NameRange{}},
        {"?", NameRange{}},
        {"**", NameRange{}},
    }));
    INFO(pattern);

    CHECK(Pattern::parse(pattern)->range() == range);
    CHECK(Pattern{}.range() == NameRange{});
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

// In the patterns of a shell, "[:alpha:]" names a class of characters. Pattern has no classes. If
// Pattern accepted these patterns, the name of a class would be a set of single characters, which
// nobody intends.
TEST_CASE("a pattern with a character class, a collating symbol or an equivalence class is invalid")
{
    const auto text =
        GENERATE(as<std::string>{}, "[[:alpha:]]", "[![:digit:]]b", "[a[:no:]]", "[[:a]",
                 "[[.a.]-c]", "[a-[.c.]]", "[[=b=]]", "a/[[:", "*[^[:alpha:]");
    CAPTURE(text);

    CHECK_FALSE(Pattern::parse(text));
}

TEST_CASE("a colon at the start of a bracket expression is a member of the set")
{
    CHECK(Pattern::parse("[:a]")->matches(*Name::parse(":")));
    CHECK(Pattern::parse("\\[:a")); // The pattern is valid, although no name matches it.
}

// Returns a random pattern without malformed brackets and without `**`. fnmatch(3) and Pattern must
// agree on it.
std::string some_pattern(std::mt19937& random)
{
    static const std::string_view pieces[] = {"a",    "b",    ".",     "-",    "/",     "*",
                                              "*",    "?",    "\\a",   "[ab]", "[!a]",  "[^b.]",
                                              "[-a]", "[]a]", "[a-c]", "[b-]", "[c-a]", "[\\b-]"};
    std::string text;
    for (auto left = random() % 9; left > 0; --left) {
        const auto piece = pieces[random() % std::size(pieces)];
        if (piece != "*" || !text.ends_with('*'))
            text += piece;
    }
    return text.empty() ? "*" : text;
}

TEST_CASE("any pattern matches the names that fnmatch(3) matches")
{
    std::mt19937 random{1};
    int compared = 0;
    int matched = 0;
    while (matched < 10'000) {
        std::string text(random() % 8, ' ');
        for (char& c : text)
            c = "aabc.-/"[random() % 7];
        const auto pattern = some_pattern(random);
        const auto name = Name::parse(text);
        if (!name)
            continue;
        const bool matches = ::fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
        ++compared;
        matched += matches ? 1 : 0;
        const auto parsed = Pattern::parse(pattern);
        if (parsed->matches(*name) != matches)
            FAIL("'" << pattern << "' on '" << text << "' is to be " << matches);
        if (matches && !parsed->range().contains(*name))
            FAIL("'" << text << "' is to be in the range of '" << pattern << "'");
    }
    CHECK(compared > matched);
}

TEST_CASE("a pattern of any length is decided by its last character")
{
    const auto length = GENERATE(1, 63, 64, 65, 127, 128, 129, 192, 254, 255);
    const auto wanted = static_cast<std::size_t>(length);
    const auto pattern = Pattern::parse(std::string(wanted - 1, '?') + "b");
    const auto with_star =
        Pattern::parse("*" + std::string(std::min(wanted, 254UZ) - 1, 'a') + "b");

    CHECK(pattern->matches(*Name::parse(std::string(wanted - 1, 'a') + "b")));
    CHECK_FALSE(pattern->matches(*Name::parse(std::string(wanted - 1, 'a') + "a")));
    CHECK(with_star->matches(*Name::parse(std::string(254, 'a') + "b")));
    CHECK_FALSE(with_star->matches(*Name::parse(std::string(255, 'a'))));
}

TEST_CASE("a pattern that is made for backtracking is matched in linear time")
{
    std::string text;
    while (text.size() + 2 < max_pattern_bytes)
        text += "*a";
    const auto pattern = Pattern::parse(text + "b");
    REQUIRE(pattern);

    // A matcher that backtracks over each star in turn would take longer than a lifetime.
    CHECK_FALSE(pattern->matches(*Name::parse(std::string(max_name_bytes, 'a'))));
}

} // namespace
} // namespace evfd
