#include "common/json.h"

#include "common/json_plain.h"
#include "common/limits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <limits>

namespace evfd::json {

// Counts the lines of a text up to the last character that the parser has read.
class LineCounter {
public:
    explicit LineCounter(std::string_view text) : counted_{text.data()}, last_{text.data()} {}

    void on_read(const char* last) { last_ = last; }
    std::size_t line()
    {
        line_ += static_cast<std::size_t>(std::count(counted_, last_, '\n'));
        counted_ = last_;
        return line_;
    }

private:
    const char* counted_;
    const char* last_;
    std::size_t line_ = 1; // The number of the line at the position counted_.
};

// Builds a document from the SAX events of nlohmann's parser or of PlainReader. A function that
// returns false stops the parser.
class SaxBuilder {
public:
    // Empties the document. If `lines` is not null, the builder also stores the line of each value.
    SaxBuilder(Document& document, std::size_t max_values, LineCounter* lines = nullptr)
        : document_{document}, max_values_{max_values}, lines_{lines}
    {
        document_.clear();
    }
    // Copies the whole text to the document. All strings must be views of this text. This is faster
    // than copying each string.
    void copy_text(std::string_view text)
    {
        document_.text_ = text;
        copied_ = text.data();
    }

    bool null() { return add({.kind = Kind::null, .end = 0}); }
    bool boolean(bool value) { return add({.kind = Kind::boolean, .end = 0, .integer = value}); }
    bool number_integer(std::int64_t value)
    {
        return add({.kind = Kind::integer, .end = 0, .integer = value});
    }
    bool number_unsigned(std::uint64_t value)
    {
        if (value > std::numeric_limits<std::int64_t>::max())
            return add_text(Kind::number, fmt::format_int{value}.c_str());
        return number_integer(static_cast<std::int64_t>(value));
    }
    bool number_float(double, const std::string& written)
    {
        return add_text(Kind::number, written);
    }
    bool string(std::string_view value) { return add_text(Kind::string, value); }
    bool key(std::string_view value) { return string(value); }
    bool start_object(std::size_t) { return open(Kind::object); }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(Kind::array); }
    bool end_array() { return close(); }
    // JSON text has no binary values.
    bool binary(nlohmann::json::binary_t&) { return fail("not JSON"); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error)
    {
        constexpr int number_overflow = 406;
        has_large_number_ = error.id == number_overflow;
        message_ = error.what();
        return fail("not JSON");
    }

    std::string_view defect() const { return defect_; }
    // Returns the readable part of the parser's message, which is like "[json.exception...] parse
    // error at ...: syntax error ... - invalid literal; last read: 'x'".
    std::string_view reason() const
    {
        const auto what = std::string_view{message_}.substr(0, message_.find("; last read: "));
        for (const std::string_view before : {" - ", "] "})
            if (const auto at = what.find(before); at != what.npos)
                return what.substr(at + before.size());
        return what;
    }
    // Returns whether the parser stopped at a number that is too large for a double. A text with
    // such a number can be valid JSON nevertheless.
    bool has_large_number() const { return has_large_number_; }

private:
    // Returns whether the parser is inside an array or object that is nested deeper than
    // max_json_depth. The values in such an array or object are checked, but not stored.
    bool is_too_deep() const { return depth_ > open_.size(); }
    bool count() { return ++values_ <= max_values_ || fail("too many values"); }
    bool add(Node node)
    {
        if (!count())
            return false;
        if (is_too_deep())
            return true;
        node.end = static_cast<std::uint32_t>(document_.nodes_.size() + 1);
        document_.nodes_.push_back(node);
        if (lines_)
            document_.lines_.push_back(lines_->line());
        return true;
    }
    bool add_text(Kind kind, std::string_view text)
    {
        if (is_too_deep())
            return count();
        return add({.kind = kind,
                    .end = 0,
                    .text = static_cast<std::uint32_t>(offset_of(text)),
                    .text_size = static_cast<std::uint32_t>(text.size())});
    }
    // Returns the offset of a string in the document's text. Appends the string, unless it is there
    // already.
    std::size_t offset_of(std::string_view text)
    {
        if (copied_)
            return static_cast<std::size_t>(text.data() - copied_);
        document_.text_ += text;
        return document_.text_.size() - text.size();
    }
    bool open(Kind kind)
    {
        if (depth_ >= open_.size()) {
            const bool has_room = add({.kind = Kind::too_deep, .end = 0});
            ++depth_;
            return has_room;
        }
        open_[depth_++] = document_.nodes_.size();
        return add({.kind = kind, .end = 0});
    }
    bool close()
    {
        if (--depth_ < open_.size())
            document_.nodes_[open_[depth_]].end =
                static_cast<std::uint32_t>(document_.nodes_.size());
        return true;
    }
    bool fail(std::string_view defect)
    {
        defect_ = defect;
        return false;
    }

    Document& document_;
    std::size_t max_values_;
    LineCounter* lines_;
    const char* copied_ = nullptr; // The start of the text that copy_text() has copied.
    std::size_t values_ = 0;       // The number of values so far, stored or not.
    // The node of each array or object that is not closed yet.
    std::array<std::size_t, max_json_depth> open_;
    std::size_t depth_ = 0;
    std::string_view defect_;
    std::string message_;
    bool has_large_number_ = false;
};

namespace {

// The largest buffer for strings, in bytes, that a document keeps for the next text.
constexpr std::size_t max_reused_bytes = 64 * 1024;

bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

std::size_t digits_from(std::string_view text, std::size_t at)
{
    while (at < text.size() && is_digit(text[at]))
        ++at;
    return at;
}

// Returns the offset after the number that starts at `begin`. Returns `begin` if no number starts
// there. The syntax of numbers is in RFC 8259.
std::size_t end_of_number(std::string_view text, const std::size_t begin)
{
    const auto is = [&](std::size_t at, std::string_view any) {
        return at < text.size() && any.contains(text[at]);
    };
    auto at = begin + (is(begin, "-") ? 1 : 0);
    const auto whole = at;
    at = is(at, "0") ? at + 1 : digits_from(text, at);
    if (at == whole)
        return begin;
    if (const auto end = digits_from(text, at + 1); is(at, ".") && end > at + 1)
        at = end;
    if (is(at, "eE")) {
        const auto first = at + (is(at + 1, "+-") ? 2 : 1);
        if (const auto end = digits_from(text, first); end > first)
            at = end;
    }
    return at;
}

// Returns the end of the string that starts at `at`: the offset after its closing quote, or the end
// of the text.
std::size_t end_of_string(std::string_view text, std::size_t at)
{
    for (++at; at < text.size() && text[at] != '"'; ++at)
        if (text[at] == '\\')
            ++at;
    return std::min(at + 1, text.size());
}

// Returns whether the number might be too large for a double. Such a number is not a valid integer
// of the protocol in any case.
bool may_be_large(std::string_view number)
{
    constexpr std::size_t max_digits = 308; // Every integer of 308 digits fits into a double.
    return number.size() > max_digits || number.find_first_of("eE") != number.npos;
}

// Writes a small number in place of each number that might be too large for a double. The result is
// JSON if and only if `text` is JSON.
std::string without_large_numbers(std::string_view text)
{
    // Every replaced number has an exponent or is long. The shortest one has three characters, such
    // as "1e0", so the replacement is never longer than the number.
    constexpr std::string_view replacement = "0.5";
    std::string replaced{text};
    for (std::size_t at = 0; at < text.size();) {
        if (text[at] == '"') {
            at = end_of_string(text, at);
            continue;
        }
        const auto end = end_of_number(text, at);
        if (may_be_large(text.substr(at, end - at))) {
            std::fill_n(replaced.begin() + static_cast<std::ptrdiff_t>(at), end - at, ' ');
            replaced.replace(at, replacement.size(), replacement);
        }
        at = std::max(end, at + 1);
    }
    return replaced;
}

// Parses the text with nlohmann's parser, which also reads text that PlainReader does not read.
bool parse_any(std::string_view text, SaxBuilder& builder)
{
    return nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
}

} // namespace

std::expected<Value, std::string_view> Document::parse(std::string_view text,
                                                       std::size_t max_values)
{
    if (text.contains('\0')) // The parser would take a zero byte for the end of the text.
        return std::unexpected("not JSON");
    SaxBuilder plain{*this, max_values};
    plain.copy_text(text);
    if (PlainReader{text, plain}.read())
        return Value{*this, 0};
    SaxBuilder builder{*this, max_values};
    if (parse_any(text, builder))
        return Value{*this, 0};
    if (!builder.has_large_number())
        return std::unexpected(builder.defect());
    SaxBuilder again{*this, max_values};
    if (parse_any(without_large_numbers(text), again))
        return Value{*this, 0};
    return std::unexpected(again.defect());
}

void Document::clear()
{
    if (text_.capacity() > max_reused_bytes)
        text_ = {};
    nodes_.clear();
    lines_.clear();
    text_.clear();
}

namespace {

// An input iterator that reports to a LineCounter which characters the parser reads, because the
// parser does not report positions. When the parser reports a value, the iterator is at the end of
// the value. If the value is a number, the iterator is one character further.
class Cursor {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    Cursor(const char* at, LineCounter& lines) : at_{at}, lines_{&lines} {}

    reference operator*() const { return *at_; }
    Cursor& operator++()
    {
        lines_->on_read(at_++);
        return *this;
    }
    Cursor operator++(int)
    {
        const auto before = *this;
        ++*this;
        return before;
    }
    friend bool operator==(const Cursor& a, const Cursor& b) { return a.at_ == b.at_; }

private:
    const char* at_;
    LineCounter* lines_;
};

} // namespace

std::expected<Value, SyntaxError> Document::parse_with_lines(std::string_view text)
{
    LineCounter lines{text};
    if (const auto zero = text.find('\0'); zero != text.npos) {
        lines.on_read(text.data() + zero);
        return std::unexpected(SyntaxError{lines.line(), "unexpected zero byte"});
    }
    SaxBuilder builder{*this, std::numeric_limits<std::size_t>::max(), &lines};
    constexpr bool strict = true; // No text may follow the value.
    constexpr bool ignore_comments = true;
    if (nlohmann::json::sax_parse(Cursor{text.data(), lines},
                                  Cursor{text.data() + text.size(), lines}, &builder,
                                  nlohmann::json::input_format_t::json, strict, ignore_comments))
        return Value{*this, 0};
    return std::unexpected(SyntaxError{lines.line(), std::string{builder.reason()}});
}

std::string Document::path_of(Value value) const
{
    std::string path;
    for (std::uint32_t at = 0; at != value.index_;) {
        const bool is_object = nodes_[at].kind == Kind::object;
        std::size_t position = 0;
        // A member is two nodes, its key and its value.
        auto child = at + 1;
        const auto after = [&] { return nodes_[is_object ? child + 1 : child].end; };
        for (; after() <= value.index_; ++position)
            child = after();
        if (!is_object) {
            fmt::format_to(std::back_inserter(path), "[{}]", position);
            at = child;
            continue;
        }
        (path += path.empty() ? "" : ".") += Value{*this, child}.string();
        at = value.index_ == child ? child : child + 1;
    }
    return path;
}

std::optional<Value> Value::find(std::string_view key) const
{
    std::optional<Value> found;
    if (kind() == Kind::object)
        members([&](std::string_view name, Value member) {
            if (name == key)
                found = member;
            return !found;
        });
    return found;
}

namespace {

constexpr std::size_t max_summary_bytes = 60;

// Shortens a text without splitting a UTF-8 character.
std::string_view shortened(std::string_view text)
{
    if (text.size() <= max_summary_bytes)
        return text;
    auto size = max_summary_bytes;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
        --size;
    return text.substr(0, size);
}

bool needs_escape(char c)
{
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

} // namespace

void append_string(std::string& out, std::string_view text)
{
    out += '"';
    while (!text.empty()) {
        const auto plain =
            static_cast<std::size_t>(std::ranges::find_if(text, needs_escape) - text.begin());
        out += text.substr(0, plain);
        if (plain == text.size())
            break;
        const char c = text[plain];
        if (c == '"' || c == '\\')
            (out += '\\') += c;
        else
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
        text.remove_prefix(plain + 1);
    }
    out += '"';
}

// Appends the comma, the quotes, the key and the colon in one step. Appending each of them with its
// own `+=` would be slower.
void append_key(std::string& out, std::string_view key)
{
    const auto old_size = out.size();
    const bool is_first = out.ends_with('{');
    const auto write = [&](char* text, std::size_t) {
        auto* end = text + old_size;
        if (!is_first)
            *end++ = ',';
        *end++ = '"';
        end += key.copy(end, key.size());
        *end++ = '"';
        *end++ = ':';
        return end - text;
    };
    out.resize_and_overwrite(old_size + key.size() + std::string_view{",\"\":"}.size(), write);
}

void append_integer(std::string& out, std::int64_t value)
{
    std::array<char, std::numeric_limits<std::int64_t>::digits10 + 2> digits; // With a sign.
    const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
    out.append(digits.begin(), end);
}

std::string summary(Value value)
{
    switch (value.kind()) {
    case Kind::null: return "null";
    case Kind::boolean: return value.boolean() ? "true" : "false";
    case Kind::integer: return fmt::to_string(value.integer());
    case Kind::number: return std::string{shortened(value.string())};
    case Kind::string: {
        std::string quoted;
        append_string(quoted, shortened(value.string()));
        return quoted;
    }
    case Kind::object: return "an object";
    case Kind::array:
    case Kind::too_deep: break;
    }
    return "a list";
}

} // namespace evfd::json
