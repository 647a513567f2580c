// Literals for names, permissions and patterns, and conversions between messages and text.
#pragma once

#include "common/codec.h"
#include "common/pattern.h"
#include "tests/support/catch.h"

#include <fcntl.h>

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd {

inline Name operator""_name(const char* text, std::size_t size)
{
    auto name = Name::parse({text, size});
    REQUIRE(name);
    return *std::move(name);
}

inline Permissions operator""_permissions(const char* text, std::size_t size)
{
    const auto permissions = Permissions::parse({text, size});
    REQUIRE(permissions);
    return *permissions;
}

inline Pattern operator""_pattern(const char* text, std::size_t size)
{
    auto pattern = Pattern::parse({text, size});
    REQUIRE(pattern);
    return *std::move(pattern);
}

// Returns a duplicate of the descriptor, like the duplicate that the receiver of a message gets
// from recvmsg(2).
inline UniqueFd received_copy(const PassedFd& passed)
{
    return UniqueFd{::fcntl(passed.number(), F_DUPFD_CLOEXEC, 0)};
}

template <Message T>
std::string to_text(T message)
{
    std::string text;
    std::vector<PassedFd> descriptors;
    EncodeContext out{text, descriptors};
    encode(message, out);
    CHECK(descriptors.empty());
    return text;
}

template <Message T>
std::expected<T, BadField> from_text(std::string_view text, DecodeContext& incoming)
{
    json::Document document;
    const auto value = document.parse(text);
    INFO(text);
    REQUIRE(value);
    return decode<T>(*value, incoming);
}

template <Message T>
std::expected<T, BadField> from_text(std::string_view text)
{
    DecodeContext incoming;
    return from_text<T>(text, incoming);
}

// Returns the name of the first invalid field of a message, or "(none)" for a valid message.
template <Message T>
std::string wrong_field(std::string_view text)
{
    const auto message = from_text<T>(text);
    return message ? "(none)" : message.error().name;
}

// Checks that `message` is encoded as `text`, and that decoding and encoding `text` gives `text`
// again.
template <Message T>
void check_round_trip(T message, std::string_view text)
{
    CHECK(to_text(std::move(message)) == text);
    auto read = from_text<T>(text);
    INFO(text);
    REQUIRE(read);
    CHECK(to_text(*std::move(read)) == text);
}

} // namespace evfd
