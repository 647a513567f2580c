// Parses JSON text in one pass to a flat list of nodes, whose memory the next text uses again.
// Unlike a map, the list preserves repeated keys. nlohmann's parser reads the text.
#pragma once

#include <cstdint>
#include <expected>
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
    std::uint32_t text = 0;      // Offset of a string in the document's text.
    std::uint32_t text_size = 0; // Length of the string.
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
    std::string_view string() const; // May contain zero bytes.

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
    const Node& node() const;
    const Document* document_;
    std::uint32_t index_;
};

class Document {
public:
    // Returns the text's single value, or a short reason: not JSON, invalid UTF-8, text after the
    // value, too many values.
    std::expected<Value, std::string_view> parse(std::string_view text);
    // The same, for a text with at most `max_values` keys and values.
    std::expected<Value, std::string_view> parse_bounded(std::string_view text,
                                                         std::size_t max_values);

private:
    friend class Value;
    friend class SaxBuilder;
    bool build(SaxBuilder& builder, std::string_view text);
    std::vector<Node> nodes_;
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
void append_integer(std::string& out, std::int64_t value);

} // namespace evfd::json
