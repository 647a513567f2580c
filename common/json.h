// Parses JSON text in one pass to a flat list of nodes, whose memory is used again for the next
// text. Unlike a map, the list preserves repeated keys. For a file that people write, the document
// also stores the line of each value. PlainReader reads the text if it can. If it cannot,
// nlohmann's parser reads the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::json {

// `number`: a number that has a fraction or an exponent, or that does not fit into a signed integer
// of 64 bits. `too_deep`: an array or object nested deeper than max_json_depth. The contents of the
// array or object are not stored.
enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object, too_deep };

struct Node {
    Kind kind;
    std::uint32_t end;           // The index of the first node after this value and its contents.
    std::int64_t integer = 0;    // The value of an integer; 0 or 1 for a boolean.
    std::uint32_t text = 0;      // The offset of a string or a Kind::number in the document's text.
    std::uint32_t text_size = 0; // The length of the string or number in bytes.
};

class Document;
class SaxBuilder;

// A view of one value, valid until its document parses another text.
class Value {
public:
    Value(const Document& document, std::uint32_t index) : document_{&document}, index_{index} {}

    Kind kind() const { return node().kind; }
    bool boolean() const { return node().integer != 0; }
    std::int64_t integer() const { return node().integer; }
    // Returns the text of a string, which can contain zero bytes. For a Kind::number, returns the
    // number as it is written.
    std::string_view string() const;
    // Returns the key of this value. Only for a value that is a member of an object.
    Value key() const { return Value{*document_, index_ - 1}; }
    // Returns the first member with this key. Returns nothing if this value is not an object, or
    // has no member with this key.
    std::optional<Value> find(std::string_view key) const;

    // Calls `each(value)` for the elements of an array, in order, until a call returns false.
    // Returns false if a call returned false.
    template <class Each>
    bool elements(Each each) const
    {
        for (auto at = index_ + 1; at < node().end; at = Value{*document_, at}.node().end)
            if (!each(Value{*document_, at}))
                return false;
        return true;
    }
    // Calls `each(key, value)` for the members of an object, in order, until a call returns false.
    // Returns false if a call returned false.
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

// The reason why a text is not JSON, and the line where parsing stopped.
struct SyntaxError {
    std::size_t line;
    std::string reason;
};

class Document {
public:
    // Returns the single value of the text, or a few words that say why the text is not valid: not
    // JSON, invalid UTF-8, text after the value, more than `max_values` keys and values.
    std::expected<Value, std::string_view> parse(std::string_view text,
                                                 std::size_t max_values = SIZE_MAX);

    // Parses a text in which // and /* */ are comments, and stores the line of each value.
    std::expected<Value, SyntaxError> parse_with_lines(std::string_view text);
    // Returns the line of a value in a text that parse_with_lines() has read. For an array or an
    // object, returns the line where it begins. For any other value, returns the line where it
    // ends.
    std::size_t line_of(Value value) const { return lines_[value.index_]; }
    // Returns the path of a value or of a key in the document: "events[2].mode".
    std::string path_of(Value value) const;

private:
    friend class Value;
    friend class SaxBuilder;
    void clear();
    std::vector<Node> nodes_;
    // The line of each node, if parse_with_lines() parsed the text.
    std::vector<std::size_t> lines_;
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
// Appends the key of a member. The key must not need escapes. If the member is not the first one of
// its object, a comma is appended before the key.
void append_key(std::string& out, std::string_view key);
void append_integer(std::string& out, std::int64_t value);
// Returns a short text for the value, for use in an error message. For an array or an object, the
// text is only "a list" or "an object".
std::string summary(Value value);

} // namespace evfd::json
