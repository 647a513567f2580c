#include "common/pattern.h"

#include "common/limits.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdlib>
#include <utility>

namespace evfd {

namespace {

constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._@:+-/"; // The characters that names can have.
// The rows of Pattern::rows_ that mark the positions at which the automaton can stay: for a slash,
// the positions of `**`, and for any other character, the positions of `*` and `**`.
constexpr std::size_t slash_star = alphabet.size();
constexpr std::size_t star = alphabet.size() + 1;
constexpr std::size_t row_count = alphabet.size() + 2;

constexpr std::size_t word_bits = 64;
constexpr std::size_t max_words = max_pattern_bytes / word_bits + 1;

// The index of each byte in the alphabet. A byte outside of the alphabet has the index 0.
constexpr auto indices = [] {
    std::array<std::uint8_t, 256> all{};
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        all[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return all;
}();

// A set of bytes, which can include bytes that no name contains.
using Characters = std::bitset<256>;

Characters single_character(char c)
{
    return Characters{}.set(static_cast<unsigned char>(c));
}

// Reads a pattern's text from left to right.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_{text} {}

    bool is_at_end() const { return rest_.empty(); }
    // Returns whether the text so far has a POSIX character class, collating symbol or equivalence
    // class.
    bool has_class() const { return has_class_; }
    bool skip(std::string_view what)
    {
        const bool is_there = rest_.starts_with(what);
        if (is_there)
            rest_.remove_prefix(what.size());
        return is_there;
    }
    // Reads the next element of the pattern, and returns the set of characters that match it. The
    // set is empty if nothing can match.
    Characters next()
    {
        const char c = take();
        if (c == '?')
            return without_slash(~Characters{});
        if (c == '[')
            return bracket();
        if (c == '\\')
            return is_at_end() ? Characters{} : single_character(take());
        return single_character(c);
    }

private:
    static Characters without_slash(Characters set)
    {
        return set.reset(static_cast<unsigned char>('/'));
    }
    char take()
    {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    // Reads a bracket expression after its `[`. An unclosed `[` is an ordinary character. In that
    // case the result is an empty set, because no name contains `[`.
    Characters bracket()
    {
        const bool is_negated = skip("!") || skip("^");
        Characters set;
        for (bool is_first = true; is_first || !skip("]"); is_first = false) {
            const auto part = element();
            if (!part)
                return {};
            set |= *part;
        }
        return without_slash(is_negated ? ~set : set);
    }

    // Reads one character or one range in a bracket expression.
    std::optional<Characters> element()
    {
        const auto first = character();
        if (!first)
            return {};
        if (!rest_.starts_with('-') || rest_.starts_with("-]"))
            return single_character(*first);
        take();
        const auto last = character();
        if (!last)
            return {};
        Characters set;
        for (unsigned c = static_cast<unsigned char>(*first);
             c <= static_cast<unsigned char>(*last); ++c)
            set.set(c);
        return set;
    }

    // Reads a character of a bracket expression, plain or escaped.
    std::optional<char> character()
    {
        for (const std::string_view opening : {"[:", "[.", "[="})
            has_class_ = has_class_ || rest_.starts_with(opening);
        skip("\\");
        return is_at_end() ? std::optional<char>{} : take();
    }

    std::string_view rest_;
    bool has_class_ = false;
};

// A pattern in two parts: the set of characters for each position, and the places of its stars.
struct Parts {
    std::vector<Characters> sets = {};
    // For each star, the index of the set that follows the star.
    std::vector<std::size_t> stars = {};
    std::vector<std::size_t> double_stars = {};
};

// Reads the text of a pattern. Returns nothing if the text has a character class.
std::optional<Parts> read_parts(std::string_view text)
{
    Parts parts;
    Reader reader{text};
    while (!reader.is_at_end())
        if (reader.skip("**"))
            parts.double_stars.push_back(parts.sets.size());
        else if (reader.skip("*"))
            parts.stars.push_back(parts.sets.size());
        else
            parts.sets.push_back(reader.next());
    if (reader.has_class())
        return {};
    return parts;
}

std::vector<std::uint64_t> rows_of(const Parts& parts)
{
    const auto words = parts.sets.size() / word_bits + 1;
    std::vector<std::uint64_t> rows(row_count * words);
    const auto set_bit = [&](std::size_t row, std::size_t position) {
        rows[row * words + position / word_bits] |= std::uint64_t{1} << position % word_bits;
    };
    for (std::size_t position = 0; position < parts.sets.size(); ++position)
        for (std::size_t i = 0; i < alphabet.size(); ++i)
            if (parts.sets[position].test(static_cast<unsigned char>(alphabet[i])))
                set_bit(i, position);
    for (const auto position : parts.stars)
        set_bit(star, position);
    for (const auto position : parts.double_stars) {
        set_bit(star, position);
        set_bit(slash_star, position);
    }
    return rows;
}

// Returns the range of the names that begin with the characters before the first star, and before
// the first set that has not exactly one character.
NameRange range_of(const Parts& parts)
{
    auto fixed = parts.sets.size();
    for (const auto* stars : {&parts.stars, &parts.double_stars})
        if (!stars->empty())
            fixed = std::min(fixed, stars->front());
    std::string prefix;
    // A set can have a character that no name has. Then it adds nothing, and the prefix ends.
    for (std::size_t i = 0; i < fixed && parts.sets[i].count() == 1 && prefix.size() == i; ++i)
        for (const char c : alphabet)
            if (parts.sets[i].test(static_cast<unsigned char>(c)))
                prefix += c;
    const bool has_stars = !parts.stars.empty() || !parts.double_stars.empty();
    if (has_stars || prefix.size() < parts.sets.size())
        return NameRange::beginning_with(std::move(prefix));
    return NameRange::only(std::move(prefix));
}

} // namespace

std::optional<Pattern> Pattern::parse(std::string_view text)
{
    if (text.empty() || text.size() > max_pattern_bytes || text.contains('\0'))
        return {};
    const auto parts = read_parts(text);
    if (!parts)
        return {};
    Pattern pattern;
    pattern.text_ = text;
    pattern.range_ = range_of(*parts);
    pattern.rows_ = rows_of(*parts);
    pattern.end_ = parts->sets.size();
    return pattern;
}

template <std::size_t words>
bool Pattern::matches_from_start(std::string_view text) const
{
    std::array<std::uint64_t, words> positions{1};
    for (const char c : text) {
        const auto* advances = &rows_[indices[static_cast<unsigned char>(c)] * words];
        const auto* stays = &rows_[(c == '/' ? slash_star : star) * words];
        std::uint64_t carried = 0;
        std::uint64_t any = 0;
        for (std::size_t i = 0; i < words; ++i) {
            const auto advanced = positions[i] & advances[i];
            positions[i] = advanced << 1 | carried | (positions[i] & stays[i]);
            carried = advanced >> (word_bits - 1);
            any |= positions[i];
        }
        if (any == 0)
            return false;
    }
    return (positions[end_ / word_bits] >> end_ % word_bits & 1) != 0;
}

bool Pattern::matches(const Name& name) const
{
    static_assert(max_words == 4);
    switch (rows_.size() / row_count) {
    case 0: return true; // The empty pattern matches every name.
    case 1: return matches_from_start<1>(name.text());
    case 2: return matches_from_start<2>(name.text());
    case 3: return matches_from_start<3>(name.text());
    case 4: return matches_from_start<4>(name.text());
    }
    std::abort();
}

} // namespace evfd
