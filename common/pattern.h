// The glob patterns that select among names. Whatever the pattern, to look at a name takes no
// memory and time in proportion to the name's length.
#pragma once

#include "common/name.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd {

// A glob as in the shell, glob(7): `*` and `?` stay within a segment. The empty Pattern matches
// all.
class Pattern {
public:
    Pattern() = default;
    // Nothing if it is empty, longer than max_pattern_bytes, or holds a zero byte.
    static std::optional<Pattern> parse(std::string_view text);
    bool matches(const Name& name) const;
    const std::string& text() const noexcept { return text_; }

    friend bool operator==(const Pattern& one, const Pattern& other)
    {
        return one.text_ == other.text_;
    }

private:
    explicit Pattern(std::string_view text);
    template <std::size_t words> // Of a row.
    bool matches_from_start(std::string_view text) const;

    std::string text_;
    // A name is read once, with the set of places in the pattern at which one can be after what was
    // read: place i is behind the first i characters that the pattern wants. For each character of
    // names, and then for `*`, the places from which it leads on, as a row of bits.
    std::vector<std::uint64_t> rows_;
    std::size_t end_ = 0; // The last place: all of the pattern is read.
};

} // namespace evfd
