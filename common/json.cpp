#include "common/json.h"

#include "common/limits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>

namespace evfd::json {

// What nlohmann's parser calls; a false ends the reading.
class Filler {
public:
    explicit Filler(Document& document) : document_{document} {}

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
        if (value.contains('\0'))
            return fail("a zero byte in a string");
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
    bool binary(nlohmann::json::binary_t&) { return fail("not JSON"); } // No text has one.
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&)
    {
        return fail("not JSON");
    }

    std::string_view defect() const { return defect_; }

private:
    bool add(Node node)
    {
        node.end = static_cast<std::uint32_t>(document_.nodes_.size() + 1);
        document_.nodes_.push_back(node);
        return true;
    }
    bool open(Kind kind)
    {
        if (depth_ == open_.size())
            return fail("nested too deeply");
        open_[depth_++] = document_.nodes_.size();
        return add({.kind = kind, .end = 0});
    }
    bool close()
    {
        document_.nodes_[open_[--depth_]].end = static_cast<std::uint32_t>(document_.nodes_.size());
        return true;
    }
    bool fail(std::string_view defect)
    {
        defect_ = defect;
        return false;
    }

    Document& document_;
    std::array<std::size_t, max_json_depth> open_; // The containers we are in.
    std::size_t depth_ = 0;
    std::string_view defect_;
};

std::expected<Value, std::string_view> Document::read(std::string_view text)
{
    nodes_.clear();
    text_.clear();
    if (text.contains('\0')) // Would end the text for the parser, whatever follows.
        return std::unexpected("not JSON");
    Filler filler{*this};
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &filler))
        return std::unexpected(filler.defect());
    return Value{*this, 0};
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
