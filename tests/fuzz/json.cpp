// Checks that PlainReader and nlohmann's parser read the same values. The fuzzer's input is the
// JSON text.
#include "common/json.h"
#include "tests/fuzz/input.h"

#include <string>
#include <string_view>

namespace evfd {
namespace {

using fuzz::expect;

// Appends a text that represents the value and all values in it. Different values give different
// texts.
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

// Returns a representation of all values of the text, or the reason why the text is refused.
std::string parse(std::string_view text)
{
    constexpr std::size_t max_values = 32; // Small, so that some inputs have more values.
    json::Document document;
    const auto value = document.parse(text, max_values);
    std::string all;
    if (value)
        append_all(all, *value);
    return value ? all : std::string{value.error()};
}

void run(std::string_view text)
{
    // PlainReader leaves a text that begins with a byte order mark to nlohmann's parser. So run()
    // adds the mark to select nlohmann's parser. An input that already has the mark is skipped,
    // because a text with two marks is not JSON.
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
