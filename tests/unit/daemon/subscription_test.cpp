#include "daemon/objects/subscription.h"

#include "tests/support/service_fixture.h"

#include <algorithm>
#include <set>

namespace evfd::daemon {
namespace {

TEST_CASE("no two tokens are equal, and neither are their texts")
{
    std::set<Token> tokens;
    std::set<std::string> texts;
    for (int i = 0; i < 100; ++i) {
        const auto token = Token::make();
        REQUIRE(token);
        tokens.insert(*token);
        texts.emplace(token->text());
    }
    CHECK(tokens.size() == 100);
    CHECK(texts.size() == 100);
}

TEST_CASE("a token is printed as 32 hexadecimal digits and parsed from them")
{
    const auto token = *Token::make();
    const auto text = token.text();
    CHECK(text.size() == 32);
    CHECK(std::ranges::all_of(text, [](char c) { return "0123456789abcdef"s.contains(c); }));
    CHECK(Token::parse(text) == token);
}

TEST_CASE("leading zeros of either half are kept")
{
    const auto text = "0000000000000001000000000000000f"s;
    const auto token = Token::parse(text);
    REQUIRE(token);
    CHECK(token->text() == text);
}

TEST_CASE("digits in upper case are the same token")
{
    const auto token = Token::parse("0123456789ABCDEFfedcba9876543210");
    REQUIRE(token);
    CHECK(token->text() == "0123456789abcdeffedcba9876543210");
}

TEST_CASE("a malformed token is refused")
{
    const auto text =
        GENERATE(as<std::string>{}, "", "0", "0123456789abcdef0123456789abcde",
                 "0123456789abcdef0123456789abcdef0", "0123456789abcdeg0123456789abcdef",
                 "0123456789abcdef0123456789abcde ", "-123456789abcdef0123456789abcdef",
                 "0x23456789abcdef0123456789abcdef", "0123456789abcdef+123456789abcdef");
    CHECK_FALSE(Token::parse(text));
}

} // namespace
} // namespace evfd::daemon
