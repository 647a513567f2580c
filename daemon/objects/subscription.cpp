#include "daemon/objects/subscription.h"

#include "common/number.h"

#include <sys/random.h>

namespace evfd::daemon {

namespace {

constexpr std::size_t half = 16; // The number of hexadecimal digits of 64 bits.

} // namespace

Token::Token(std::array<std::uint64_t, 2> bits)
{
    auto* digit = digits_.begin();
    for (const auto part : bits)
        for (int shift = 60; shift >= 0; shift -= 4)
            *digit++ = "0123456789abcdef"[part >> shift & 0xf];
}

Result<Token> Token::make()
{
    std::array<std::uint64_t, 2> bits;
    if (::getrandom(bits.data(), sizeof bits, 0) != sizeof bits)
        return std::unexpected(Fault::last("getrandom(2)"));
    return Token{bits};
}

std::optional<Token> Token::parse(std::string_view text)
{
    if (text.size() != 2 * half)
        return {};
    const auto high = parse_number<std::uint64_t>(text.substr(0, half), 16);
    const auto low = parse_number<std::uint64_t>(text.substr(half), 16);
    if (!high || !low)
        return {};
    return Token{{*high, *low}};
}

} // namespace evfd::daemon
