// Names of objects.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// The name of an event or a timer, of 1 to max_name_bytes bytes. A name consists of segments of
// [A-Za-z0-9._@:+-], which are joined by single slashes. No segment is "." or "..". Every Name is
// valid.
class Name {
public:
    static constexpr std::string_view syntax =
        "1 to 255 bytes, segments of [A-Za-z0-9._@:+-] joined by single slashes, none of them . or "
        "..";
    static std::optional<Name> parse(std::string_view text);
    const std::string& text() const noexcept { return text_; }

    friend auto operator<=>(const Name&, const Name&) = default;
    // Compares by the same order with a text that can be invalid as a name, such as a prefix.
    friend auto operator<=>(const Name& name, std::string_view text)
    {
        return std::string_view{name.text_} <=> text;
    }

private:
    explicit Name(std::string_view text) : text_{text} {}
    std::string text_;
};

} // namespace evfd
