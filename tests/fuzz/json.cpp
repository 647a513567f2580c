// A text has the same values whether PlainReader reads it or nlohmann's parser.
//
// An input is the text.
#include "common/json.h"
#include "tests/fuzz/input.h"

#include <string>
#include <string_view>

namespace evfd {
namespace {

using fuzz::expect;

// Appends the value and the values in it. Other values give another text.
void append_all(std::string& out, json::Value value)
{
    out += std::to_string(static_cast<int>(value.kind())) + ':';
    out += std::to_string(value.integer()) + ':';
    out += std::to_string(value.string().size()) + ':';
    out += value.string();
    out += '(';
    if (value.kind() == json::Kind::array)
        value.elements([&](json::Value element) {
            append_all(out, element);
            return true;
        });
    if (value.kind() == json::Kind::object)
        value.members([&](std::string_view, json::Value member) {
            append_all(out, member.key());
            append_all(out, member);
            return true;
        });
    out += ')';
}

// Returns all values of the text, or why it is refused.
std::string parse(std::string_view text)
{
    constexpr std::size_t max_values = 32; // Few, so that some inputs have more.
    json::Document document;
    const auto value = document.parse_bounded(text, max_values);
    std::string all;
    if (value)
        append_all(all, *value);
    return value ? all : std::string{value.error()};
}

void run(std::string_view text)
{
    // A text that begins with this mark is not plain. Two of them are not JSON.
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark))
        return;
    expect(parse(text) == parse(std::string{byte_order_mark}.append(text)),
           "both read the same values");
}

} // namespace
} // namespace evfd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    evfd::run(evfd::fuzz::Input{data, size}.rest());
    return 0;
}
