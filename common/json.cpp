#include "common/json.h"

#include "common/limits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>

namespace evfd::json {

// Receives the SAX events of nlohmann's parser. Returning false stops the parser.
class SaxBuilder {
public:
    SaxBuilder(Document& document, std::size_t max_values)
        : document_{document}, max_values_{max_values}
    {
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
            return add({.kind = Kind::number, .end = 0});
        return number_integer(static_cast<std::int64_t>(value));
    }
    bool number_float(double, const std::string&) { return add({.kind = Kind::number, .end = 0}); }
    bool string(const std::string& value)
    {
        if (is_too_deep())
            return count();
        const auto at = static_cast<std::uint32_t>(document_.text_.size());
        document_.text_ += value;
        return add({.kind = Kind::string,
                    .end = 0,
                    .text = at,
                    .text_size = static_cast<std::uint32_t>(value.size())});
    }
    bool key(const std::string& value) { return string(value); }
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
        return fail("not JSON");
    }

    std::string_view defect() const { return defect_; }
    // The parser stopped at a number that exceeds a double. The text may be valid JSON
    // nevertheless.
    bool has_large_number() const { return has_large_number_; }

private:
    // The contents are only checked, not stored.
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
        return true;
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
    std::size_t values_ = 0;                       // Includes values that are not stored.
    std::array<std::size_t, max_json_depth> open_; // Node of each open container.
    std::size_t depth_ = 0;
    std::string_view defect_;
    bool has_large_number_ = false;
};

namespace {

// Capacity for strings that is kept for the next text.
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

// Returns the end of the number that starts at `begin`, RFC 8259; `begin` if there is none.
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

// The number may exceed a double; it is not a valid integer of the protocol in any case.
bool may_be_large(std::string_view number)
{
    constexpr std::size_t max_digits = 308; // Digits of integers that fit a double.
    return number.size() > max_digits || number.find_first_of("eE") != number.npos;
}

// Replaces each number that may exceed a double by a small one. The result is JSON if and only if
// `text` is.
std::string without_large_numbers(std::string_view text)
{
    constexpr std::string_view replacement = "0.5"; // Not longer than 1e0.
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

} // namespace

std::expected<Value, std::string_view> Document::parse(std::string_view text)
{
    return parse_bounded(text, std::numeric_limits<std::size_t>::max());
}

std::expected<Value, std::string_view> Document::parse_bounded(std::string_view text,
                                                               std::size_t max_values)
{
    if (text.contains('\0')) // The parser would take it for the end of the text.
        return std::unexpected("not JSON");
    SaxBuilder builder{*this, max_values};
    if (build(builder, text))
        return Value{*this, 0};
    if (!builder.has_large_number())
        return std::unexpected(builder.defect());
    SaxBuilder again{*this, max_values};
    if (build(again, without_large_numbers(text)))
        return Value{*this, 0};
    return std::unexpected(again.defect());
}

bool Document::build(SaxBuilder& builder, std::string_view text)
{
    if (text_.capacity() > max_reused_bytes)
        text_ = {};
    nodes_.clear();
    text_.clear();
    return nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
}

namespace {

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

void append_integer(std::string& out, std::int64_t value)
{
    const fmt::format_int digits{value};
    out.append(digits.data(), digits.size());
}

} // namespace evfd::json
