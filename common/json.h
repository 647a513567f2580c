// Parses JSON text in one pass to a flat list of nodes, whose memory the next text uses again.
// Unlike a map, the list preserves repeated keys. A document of a file that people write also knows
// the line of each value. nlohmann's parser reads the text, unless PlainReader can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::json {

// `number`: not an integer of 63 bits and sign, but a fraction, an exponent, or too large.
// `too_deep`: an array or object nested deeper than max_json_depth, whose contents are not stored.
enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object, too_deep };

struct Node {
    Kind kind;
    std::uint32_t end;           // Index of the first node after this value and its contents.
    std::int64_t integer = 0;    // Also 0 or 1 for a boolean.
    std::uint32_t text = 0;      // Offset of a string or a number in the document's text.
    std::uint32_t text_size = 0; // Its length.
};

class Document;
class SaxBuilder;

// A view of one value, valid until its document parses again.
class Value {
public:
    Value(const Document& document, std::uint32_t index) : document_{&document}, index_{index} {}

    Kind kind() const { return node().kind; }
    bool boolean() const { return node().integer != 0; }
    std::int64_t integer() const { return node().integer; }
    // A string, which may contain zero bytes, or a Kind::number as it is written.
    std::string_view string() const;
    // The key of a member of an object.
    Value key() const { return Value{*document_, index_ - 1}; }
    // Returns the first member of an object with this key; nothing for another value.
    std::optional<Value> find(std::string_view key) const;

    // Calls `each(value)` for the elements of an array, `each(key, value)` for the members of an
    // object, in order, until a call returns false. Returns whether no call did.
    template <class Each>
    bool elements(Each each) const
    {
        for (auto at = index_ + 1; at < node().end; at = Value{*document_, at}.node().end)
            if (!each(Value{*document_, at}))
                return false;
        return true;
    }
    template <class Each>
    bool members(Each each) const
    {
        for (auto at = index_ + 1; at < node().end; at = Value{*document_, at + 1}.node().end)
            if (!each(Value{*document_, at}.string(), Value{*document_, at + 1}))
                return false;
        return true;
    }

private:
    friend class Document;
    const Node& node() const;
    const Document* document_;
    std::uint32_t index_;
};

// The reason why a text is not JSON.
struct SyntaxError {
    std::size_t line;
    std::string reason;
};

class Document {
public:
    // Returns the text's single value, or a short reason: not JSON, invalid UTF-8, text after the
    // value, too many values.
    std::expected<Value, std::string_view> parse(std::string_view text);
    // The same, for a text with at most `max_values` keys and values.
    std::expected<Value, std::string_view> parse_bounded(std::string_view text,
                                                         std::size_t max_values);

    // Parses a text in which // and /* */ are comments, and keeps the line of each value.
    std::expected<Value, SyntaxError> parse_with_lines(std::string_view text);
    // Returns the line where a value of such a text ends, or where an array or object begins.
    std::size_t line_of(Value value) const { return lines_[value.index_]; }
    // Returns the keys and positions that lead to a value, or to a key: "events[2].mode".
    std::string path_of(Value value) const;

private:
    friend class Value;
    friend class SaxBuilder;
    void clear();
    std::vector<Node> nodes_;
    std::vector<std::size_t> lines_; // For each node, if the text was parsed with lines.
    std::string text_;
};

inline const Node& Value::node() const
{
    return document_->nodes_[index_];
}

inline std::string_view Value::string() const
{
    return std::string_view{document_->text_}.substr(node().text, node().text_size);
}

// Appends `text` in quotes, with the escapes of RFC 8259. The text must be UTF-8.
void append_string(std::string& out, std::string_view text);
// Appends the key of a member, which needs no escapes, and the comma before it unless the member is
// the first one of its object.
void append_key(std::string& out, std::string_view key);
void append_integer(std::string& out, std::int64_t value);
// Returns a value in short, for a message; of an array or an object what it is.
std::string summary(Value value);

} // namespace evfd::json
