#include "daemon/config/config_text.h"

#include "common/limits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>

namespace evfd::daemon {

namespace {

constexpr std::size_t max_summary_bytes = 60;

// Input iterator for the parser. The parser does not report positions, so the iterator records
// where it is: at the end of a value, or one character after it for a number.
class Cursor {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = char;
    using difference_type = std::ptrdiff_t;
    using pointer = const char*;
    using reference = const char&;

    // `last` receives the address of the last character read.
    Cursor(const char* at, const char** last) : at_{at}, last_{last} {}

    reference operator*() const { return *at_; }
    Cursor& operator++()
    {
        *last_ = at_++;
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
    const char** last_;
};

// Receives the parser's SAX events. Returning false stops the parser.
class TreeBuilder {
public:
    explicit TreeBuilder(std::string_view text) : counted_{text.data()}, last_{text.data()} {}

    bool null() { return add({.kind = json::Kind::null}); }
    bool boolean(bool value) { return add({.kind = json::Kind::boolean, .integer = value}); }
    bool number_integer(std::int64_t value)
    {
        return add({.kind = json::Kind::integer, .integer = value});
    }
    bool number_unsigned(std::uint64_t value)
    {
        if (value > std::numeric_limits<std::int64_t>::max())
            return add({.kind = json::Kind::number, .text = fmt::to_string(value)});
        return number_integer(static_cast<std::int64_t>(value));
    }
    bool number_float(double, const std::string& written)
    {
        return add({.kind = json::Kind::number, .text = written});
    }
    bool string(std::string& value)
    {
        if (value.contains('\0'))
            return fail("a string cannot contain a zero character; take it out");
        return add({.kind = json::Kind::string, .text = std::move(value)});
    }
    bool key(std::string& value)
    {
        auto& object = open_.back();
        object.key_line = line();
        object.key = std::move(value);
        if (!object.keys.insert(object.key).second)
            return fail("this key is repeated; take one of them out");
        return true;
    }
    bool start_object(std::size_t) { return open(json::Kind::object); }
    bool end_object() { return close(); }
    bool start_array(std::size_t) { return open(json::Kind::array); }
    bool end_array() { return close(); }
    bool binary(nlohmann::json::binary_t&) { return false; } // JSON text has no binary values.
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error)
    {
        defect_ = {
            line(), {}, fmt::format("this is not JSON; correct it: {}", reason(error.what()))};
        return false;
    }

    const char** last() { return &last_; }
    ConfigValue take_root() { return std::move(root_); }
    ConfigDefect take_defect() { return std::move(defect_); }

private:
    struct Open {
        // Valid while the container is open: siblings are added only afterwards.
        ConfigValue* value;
        std::set<std::string, std::less<>> keys = {};
        std::string key = {}; // The last key.
        std::size_t key_line = 0;
    };

    // Returns the line of the last character read.
    std::size_t line()
    {
        line_ += static_cast<std::size_t>(std::count(counted_, last_, '\n'));
        counted_ = last_;
        return line_;
    }
    ConfigValue& insert(ConfigValue value)
    {
        value.line = line();
        if (open_.empty())
            return root_ = std::move(value);
        auto& [parent, keys, key, key_line] = open_.back();
        if (parent->kind == json::Kind::object) {
            value.key = key;
            value.key_line = key_line;
        }
        return parent->children.emplace_back(std::move(value));
    }
    bool add(ConfigValue value)
    {
        insert(std::move(value));
        return true;
    }
    bool open(json::Kind kind)
    {
        if (open_.size() == max_json_depth)
            return fail("this is nested too deeply; no key needs that");
        open_.push_back({.value = &insert({.kind = kind})});
        return true;
    }
    bool close()
    {
        open_.pop_back();
        return true;
    }
    // Returns the path of the value being read.
    std::string path() const
    {
        std::string path;
        for (const auto& open : open_) {
            if (open.value->kind == json::Kind::object) {
                (path += path.empty() ? "" : ".") += open.key;
                continue;
            }
            // A container under construction counts as an element already, a scalar does not.
            const bool is_new = &open == &open_.back();
            fmt::format_to(std::back_inserter(path), "[{}]",
                           open.value->children.size() - (is_new ? 0 : 1));
        }
        return path;
    }
    bool fail(std::string what)
    {
        defect_ = {line(), path(), std::move(what)};
        return false;
    }
    // Returns the part for people of a message like "[json.exception...] parse error at ...: syntax
    // error ... - invalid literal; last read: 'x'".
    static std::string_view reason(std::string_view what)
    {
        if (const auto at = what.find("; last read: "); at != what.npos)
            what = what.substr(0, at);
        if (const auto at = what.find(" - "); at != what.npos)
            return what.substr(at + 3);
        if (const auto at = what.find("] "); at != what.npos)
            return what.substr(at + 2);
        return what;
    }

    const char* counted_;
    const char* last_;
    std::size_t line_ = 1; // Line of counted_.
    ConfigValue root_;
    std::vector<Open> open_; // Open containers, outermost first.
    ConfigDefect defect_{};
};

// Shortens a text without splitting a character.
std::string_view shortened(std::string_view text)
{
    if (text.size() <= max_summary_bytes)
        return text;
    auto size = max_summary_bytes;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
        --size;
    return text.substr(0, size);
}

} // namespace

const ConfigValue* ConfigValue::find(std::string_view name) const
{
    const auto found = std::ranges::find(children, name, &ConfigValue::key);
    return found == children.end() ? nullptr : &*found;
}

std::string ConfigValue::summary() const
{
    switch (kind) {
    case json::Kind::null: return "null";
    case json::Kind::boolean: return integer != 0 ? "true" : "false";
    case json::Kind::integer: return fmt::to_string(integer);
    case json::Kind::number: return std::string{shortened(text)};
    case json::Kind::string: {
        std::string quoted;
        json::append_string(quoted, shortened(text));
        return quoted;
    }
    case json::Kind::array:
    case json::Kind::too_deep: return "a list";
    case json::Kind::object: return "an object";
    }
    return {};
}

std::expected<ConfigValue, ConfigDefect> read_config_text(std::string_view text)
{
    // The parser would take a zero byte for the end.
    if (const auto zero = text.find('\0'); zero != text.npos) {
        const auto before = std::ranges::count(text.substr(0, zero), '\n');
        return std::unexpected(ConfigDefect{static_cast<std::size_t>(before) + 1,
                                            {},
                                            "a file cannot contain a zero byte; take it out"});
    }
    if (text.find_first_not_of(" \t\r\n") == text.npos)
        return std::unexpected(
            ConfigDefect{1, {}, "the file is empty; write {} into it, or delete it"});
    TreeBuilder builder{text};
    const Cursor begin{text.data(), builder.last()};
    const Cursor end{text.data() + text.size(), builder.last()};
    constexpr bool strict = true; // Nothing may follow the value.
    constexpr bool ignore_comments = true;
    if (!nlohmann::json::sax_parse(begin, end, &builder, nlohmann::json::input_format_t::json,
                                   strict, ignore_comments))
        return std::unexpected(builder.take_defect());
    return builder.take_root();
}

} // namespace evfd::daemon
