#include "common/limits.h"
#include "common/name.h"
#include "tests/support/catch.h"

namespace evfd {
namespace {

TEST_CASE("a name consists of segments that are joined by single slashes")
{
    const auto text = GENERATE(as<std::string>{}, "a", "db/ready", "a/b/c/d/e", "0", "...", ".a",
                               "a.", "..a", "a/.b/..c", "A-Z_a-z.0-9@host:80+1",
                               "user@1000.service", "-", std::string(max_name_bytes, 'x'));
    INFO(text);

    const auto name = Name::parse(text);

    REQUIRE(name);
    CHECK(name->text() == text);
}

TEST_CASE("a malformed name is refused")
{
    const auto text = GENERATE(as<std::string>{}, "", "/", "/a", "a/", "a//b", ".", "..", "a/.",
                               "a/..", "./a", "../a", "a/../b", "a b", " a", "a\n", "a\tb", "a*",
                               "a?b", "[a]", "a\\b", "~", "a,b", "\xc3\xa4", "\xff",
                               std::string("a\0b", 3), std::string(max_name_bytes + 1, 'x'));
    INFO(text);

    CHECK_FALSE(Name::parse(text));
}

TEST_CASE("every byte is either in the alphabet of names or refused")
{
    const std::string_view alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._@:+-";
    for (int byte = 0; byte < 256; ++byte) {
        const std::string text{'x', static_cast<char>(byte)};
        INFO(byte);
        CHECK(Name::parse(text).has_value() == alphabet.contains(static_cast<char>(byte)));
    }
}

TEST_CASE("a name is copied, moved and assigned, whether it is allocated or not")
{
    const auto size = GENERATE(std::size_t{1}, Name::max_inline_bytes, Name::max_inline_bytes + 1,
                               max_name_bytes);
    const auto other_size = GENERATE(std::size_t{1}, max_name_bytes);
    const std::string text(size, 'x');
    auto name = *Name::parse(text);
    const auto copy = name;
    CHECK(copy == name);
    const auto moved = std::move(name);
    CHECK(moved.text() == text);

    auto other = *Name::parse(std::string(other_size, 'y'));
    other = moved;
    CHECK(other.text() == text);
    name = std::move(other); // A name that was moved from can be assigned to.
    CHECK(name.text() == text);
    const auto& same = name;
    name = same;
    CHECK(name.text() == text);
    CHECK(copy.text() == text);
    CHECK(sizeof(Name) == 24);
}

TEST_CASE("names are ordered by their text")
{
    CHECK(*Name::parse("a") < *Name::parse("a/b"));
    CHECK(*Name::parse("a") < *Name::parse("b"));
    CHECK(*Name::parse("a") == *Name::parse("a"));
    CHECK(*Name::parse("a") != *Name::parse("A"));
    CHECK(*Name::parse("a") < std::string_view{"a/"}); // This text is no name.
}

} // namespace
} // namespace evfd
