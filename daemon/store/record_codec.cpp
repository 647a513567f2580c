#include "daemon/store/record_codec.h"

#include <array>
#include <limits>

namespace evfd::daemon::record {

namespace {

constexpr std::size_t max_varint_bytes = 10; // 64 bits, 7 in each byte.

} // namespace

void append_long_varint(std::string& out, std::uint64_t number)
{
    std::array<char, max_varint_bytes> bytes;
    auto* end = bytes.begin();
    for (; number >= 0x80; number >>= 7)
        *end++ = static_cast<char>(number | 0x80);
    *end++ = static_cast<char>(number);
    out.append(bytes.begin(), end);
}

void append_number(std::string& out, std::int64_t number)
{
    const auto bits = static_cast<std::uint64_t>(number);
    append_varint(out, (bits << 1) ^ (number < 0 ? std::numeric_limits<std::uint64_t>::max() : 0));
}

void insert_text_size(std::string& out, std::size_t begin)
{
    std::string size;
    append_varint(size, out.size() - begin);
    out.insert(begin, size);
}

std::optional<std::uint64_t> next_varint(std::string_view& bytes)
{
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < bytes.size() && i < max_varint_bytes; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        if (i + 1 == max_varint_bytes && byte > 1)
            return {}; // The number does not fit.
        number |= std::uint64_t{byte & 0x7fU} << (7 * i);
        if (byte < 0x80) {
            bytes.remove_prefix(i + 1);
            return number;
        }
    }
    return {};
}

std::optional<std::int64_t> next_number(std::string_view& bytes)
{
    const auto number = next_varint(bytes);
    if (!number)
        return {};
    return static_cast<std::int64_t>((*number >> 1) ^ (0 - (*number & 1)));
}

std::optional<std::string_view> next_text(std::string_view& bytes)
{
    const auto size = next_varint(bytes);
    if (!size || *size > bytes.size())
        return {};
    const auto text = bytes.substr(0, *size);
    bytes.remove_prefix(*size);
    return text;
}

std::optional<RawValue> next_value(std::string_view& bytes, bool is_text)
{
    if (is_text) {
        const auto text = next_text(bytes);
        return text ? std::optional{RawValue{true, 0, *text}} : std::nullopt;
    }
    const auto number = next_number(bytes);
    return number ? std::optional{RawValue{false, *number, {}}} : std::nullopt;
}

std::optional<RawField> next_field(std::string_view& bytes)
{
    const auto tag = next_varint(bytes);
    const auto value = tag ? next_value(bytes, (*tag & 1) != 0) : std::nullopt;
    return value ? std::optional{RawField{*tag >> 1, *value}} : std::nullopt;
}

} // namespace evfd::daemon::record
