// JSON text, read in one pass into a flat list of nodes whose memory the next text uses again. What
// a tree would lose is kept: repeated keys are seen. Reading is nlohmann's; this is what it fills.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::json {

// `number` is any that is no integer of 63 bits and sign: a fraction, an exponent, or too large.
// `deep` is an array or an object beyond max_json_depth: that it is one is all that is known of it.
enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object, too_deep };

struct Node {
    Kind kind;
    std::uint32_t end;           // The index behind this value and all within it.
    std::int64_t integer = 0;    // Also a boolean's 0 or 1.
    std::uint32_t text = 0;      // A string's place in the document's text,
    std::uint32_t text_size = 0; // and its length.
};

class Document;
class SaxBuilder;

// A view of one value: good until its document reads again.
class Value {
public:
    Value(const Document& document, std::uint32_t index) : document_{&document}, index_{index} {}

    Kind kind() const { return node().kind; }
    bool boolean() const { return node().integer != 0; }
    std::int64_t integer() const { return node().integer; }
    std::string_view string() const; // May have zero bytes in it.

    // Calls `each(value)` for an array's elements, `each(key, value)` for an object's members, in
    // order, until one returns false. Returns whether none did.
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
    // The text's one value, or in a few words what is wrong with it: not JSON, invalid UTF-8, text
    // after the value, too many values.
    std::expected<Value, std::string_view> parse(std::string_view text);
    // The same, of a text that has no more keys and values than that.
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

// Appends `text` in quotes, escaped as RFC 8259 asks. It must be UTF-8.
void append_string(std::string& out, std::string_view text);
void append_integer(std::string& out, std::int64_t value);

} // namespace evfd::json
