#include "daemon/objects/subscription.h"

#include "common/number.h"

#include <sys/random.h>

namespace evfd::daemon {

namespace {

constexpr std::size_t half = 16; // The number of hexadecimal digits of 64 bits.

} // namespace

Result<Token> Token::make()
{
    Token token;
    if (::getrandom(token.bits_.data(), sizeof token.bits_, 0) != sizeof token.bits_)
        return std::unexpected(Fault::last("getrandom(2)"));
    return token;
}

std::optional<Token> Token::parse(std::string_view text)
{
    if (text.size() != 2 * half)
        return {};
    const auto high = parse_number<std::uint64_t>(text.substr(0, half), 16);
    const auto low = parse_number<std::uint64_t>(text.substr(half), 16);
    if (!high || !low)
        return {};
    Token token;
    token.bits_ = {*high, *low};
    return token;
}

std::string Token::text() const
{
    // This function does not use fmt, for speed: each recorded call of a session includes this
    // text.
    std::string text;
    text.reserve(2 * half);
    for (const auto bits : bits_)
        for (int shift = 60; shift >= 0; shift -= 4)
            text += "0123456789abcdef"[bits >> shift & 0xf];
    return text;
}

} // namespace evfd::daemon
