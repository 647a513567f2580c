// Reads JSON text that is written plainly, as the encoder writes it: strings of ASCII characters
// without escapes, integers, true, false, null, arrays and objects. PlainReader passes each string
// to its handler as a view of the text, and allocates no memory. Together with its handler, it
// executes less than a third of the instructions that nlohmann's parser executes.
//
// The reader gives up at the first character that is not written plainly, whether the text is JSON
// or not. Only nlohmann's parser decides whether such a text is JSON.
#pragma once

#include "common/limits.h"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace evfd::json {

// `Handler` has the functions of a SAX handler for nlohmann's parser. If one of these functions
// returns false, the reader gives up.
template <class Handler>
class PlainReader {
public:
    PlainReader(std::string_view text, Handler& handler)
        : next_{text.data()}, end_{text.data() + text.size()}, handler_{handler}
    {
    }

    // Reads the text. Returns whether the text is one value that is written plainly.
    bool read() { return value(0) && is_space_to_end(); }

private:
    // `depth` is the number of arrays and objects around the value.
    bool value(std::size_t depth)
    {
        skip_space();
        if (next_ == end_ || depth > max_json_depth)
            return false;
        switch (*next_) {
        case '{': return object(depth + 1);
        case '[': return array(depth + 1);
        case '"': return string();
        case 't': return skip_word("true") && handler_.boolean(true);
        case 'f': return skip_word("false") && handler_.boolean(false);
        case 'n': return skip_word("null") && handler_.null();
        default: return integer();
        }
    }
    bool object(std::size_t depth)
    {
        return handler_.start_object(unknown_size) &&
               items('}', [&] { return key() && skip(':') && value(depth); }) &&
               handler_.end_object();
    }
    bool array(std::size_t depth)
    {
        return handler_.start_array(unknown_size) && items(']', [&] { return value(depth); }) &&
               handler_.end_array();
    }
    // Reads an array or an object, from its opening bracket to its closing bracket.
    template <class ReadItem>
    bool items(char closing, ReadItem read_item)
    {
        ++next_;
        if (skip(closing))
            return true;
        do
            if (!read_item())
                return false;
        while (skip(','));
        return skip(closing);
    }
    bool key()
    {
        skip_space();
        const auto text = quoted();
        return text && handler_.key(*text);
    }
    bool string()
    {
        const auto text = quoted();
        return text && handler_.string(*text);
    }
    std::optional<std::string_view> quoted()
    {
        if (next_ == end_ || *next_ != '"')
            return {};
        const auto* const begin = ++next_;
        while (next_ != end_ && is_plain(*next_))
            ++next_;
        if (next_ == end_ || *next_ != '"')
            return {};
        return std::string_view{begin, next_++};
    }
    bool integer()
    {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(next_, end_, value);
        if (error != std::errc{})
            return false;
        const auto* const digits = *next_ == '-' ? next_ + 1 : next_;
        if (*digits == '0' && end > digits + 1) // JSON allows no leading zero.
            return false;
        next_ = end;
        return handler_.number_integer(value);
    }

    // The functions below read expected characters. They return false if the text continues with
    // other characters.
    bool skip(char c)
    {
        skip_space();
        if (next_ == end_ || *next_ != c)
            return false;
        ++next_;
        return true;
    }
    bool skip_word(std::string_view word)
    {
        if (!std::string_view{next_, end_}.starts_with(word))
            return false;
        next_ += word.size();
        return true;
    }
    bool is_space_to_end()
    {
        skip_space();
        return next_ == end_;
    }
    void skip_space()
    {
        while (next_ != end_ && is_space(*next_))
            ++next_;
    }

    static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
    // Returns whether the character stands for itself in a string.
    static bool is_plain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

    static constexpr auto unknown_size = static_cast<std::size_t>(-1);

    const char* next_;
    const char* end_;
    Handler& handler_;
};

} // namespace evfd::json
