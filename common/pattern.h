// Glob patterns that select names. Matching a name allocates no memory. For every pattern, the time
// to match a name is proportional to the length of the name.
#pragma once

#include "common/name.h"
#include "common/name_range.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd {

// A shell glob, glob(7). `*` and `?` match within a segment only, and `**` matches any characters,
// slashes too. A bracket expression contains only characters and ranges: a pattern with
// `[:class:]`, `[.symbol.]` or `[=class=]` is invalid. The empty Pattern matches every name.
class Pattern {
public:
    Pattern() = default;
    // Parses a pattern. Returns nothing if the text is empty, longer than max_pattern_bytes,
    // contains a zero byte, or has one of `[:`, `[.` and `[=` in a bracket expression.
    static std::optional<Pattern> parse(std::string_view text);
    bool matches(const Name& name) const;
    const std::string& text() const noexcept { return text_; }
    // Returns a range that contains every matching name. Each name of the range begins with the
    // characters before the first `*`, `?` or bracket expression.
    const NameRange& range() const noexcept { return range_; }

    friend bool operator==(const Pattern& one, const Pattern& other)
    {
        return one.text_ == other.text_;
    }

private:
    template <std::size_t words> // The number of 64-bit words in a row.
    bool matches_from_start(std::string_view text) const;

    std::string text_;
    NameRange range_;
    // The pattern as an automaton, which reads a name once. Its state is the set of positions in
    // the pattern that the characters read so far can reach. Position i means that the first i
    // characters that the pattern requires have matched.
    //
    // Each character that names can have has a row of bits. The row marks the positions from which
    // this character leads to the next position. Two more rows mark the positions at which the
    // automaton can also stay while it reads a character. For a character other than `/`, these are
    // the positions of `*` and `**`. For a `/`, these are the positions of `**`.
    std::vector<std::uint64_t> rows_;
    std::size_t end_ = 0; // The final position, at which the whole pattern has matched.
};

} // namespace evfd
