// Names of objects.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd {

// The name of an event or a timer, of 1 to max_name_bytes bytes. A name consists of segments of
// [A-Za-z0-9._@:+-], which are joined by single slashes. No segment is "." or "..". Every Name is
// valid, except one that was moved from.
//
// A daemon has very many names, and most of them are short. A Name therefore takes 24 bytes, and
// allocates memory only for a text that is longer than max_inline_bytes.
class Name {
public:
    static constexpr std::string_view syntax =
        "1 to 255 bytes, segments of [A-Za-z0-9._@:+-] joined by single slashes, none of them . or "
        "..";
    static constexpr std::size_t max_inline_bytes = 23;

    static std::optional<Name> parse(std::string_view text);
    Name(const Name& other) : Name{other.text()} {}
    Name(Name&& other) noexcept : bytes_{other.bytes_}, size_{std::exchange(other.size_, {})} {}
    Name& operator=(Name other) noexcept
    {
        std::swap(bytes_, other.bytes_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Name()
    {
        if (!is_inline())
            delete[] allocated();
    }

    // Returns the text, without a zero byte at its end. The text is valid until the Name is
    // destroyed, moved or assigned to.
    std::string_view text() const noexcept
    {
        return {is_inline() ? bytes_.data() : allocated(), size_};
    }

    friend bool operator==(const Name& a, const Name& b) { return a.text() == b.text(); }
    friend auto operator<=>(const Name& a, const Name& b) { return a.text() <=> b.text(); }
    // Compares by the same order with a text that can be invalid as a name, such as a prefix.
    friend auto operator<=>(const Name& name, std::string_view text)
    {
        return name.text() <=> text;
    }

private:
    explicit Name(std::string_view text);
    bool is_inline() const noexcept { return size_ <= max_inline_bytes; }
    char* allocated() const noexcept
    {
        char* text = nullptr;
        std::memcpy(static_cast<void*>(&text), bytes_.data(), sizeof text);
        return text;
    }

    // The text; or the address of the text, if the text does not fit.
    alignas(char*) std::array<char, max_inline_bytes> bytes_;
    std::uint8_t size_;
};

} // namespace evfd
