// The binary form of the records (records.h). The encoder and the decoder are derived from the list
// of fields of each record.
//
// A record is the byte `format`, and then the fields that have a value:
//
//     field    2 * position as a varint, + 1 if the value is text; then the value
//     number   a signed number, as a zigzag varint
//     text     the size in bytes as a varint; then the bytes
//
// The position of a field is its place in fields(), from 0. Numbers are: integers, booleans, the
// numbers of enumerators, durations, and times since 1970, both in nanoseconds. Everything else is
// text: strings, and validated types with parse() and text(); a nested struct, which is a sequence
// of fields; a list, which is a sequence of values. Varints are those of Protocol Buffers: 7 bits a
// byte, the lowest first, with the bit 0x80 in every byte but the last.
//
// A reader refuses what no writer may write: a negative duration or time, and a string with a zero
// byte. It also reads a record in JSON, which begins with `{`: earlier versions wrote such records.
//
// Later versions may append fields to a list if the fields are optional, and may append enumerators
// to an enum. They must not remove or reorder any. A reader ignores fields that it does not know.
#pragma once

#include "common/codec.h"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace evfd::daemon::record {

inline constexpr char format = 1; // The first byte of a record in binary form.

void append_long_varint(std::string& out, std::uint64_t number);
inline void append_varint(std::string& out, std::uint64_t number)
{
    if (number < 0x80)
        out += static_cast<char>(number);
    else
        append_long_varint(out, number);
}
void append_number(std::string& out, std::int64_t number);
inline void append_text(std::string& out, std::string_view text)
{
    append_varint(out, text.size());
    out += text;
}
// Inserts the size of the text that begins at `begin` and ends at the end of `out` before the text.
void insert_text_size(std::string& out, std::size_t begin);

// The following functions remove what they return from the start of `bytes`. They return nothing if
// `bytes` does not begin with it.
std::optional<std::uint64_t> next_varint(std::string_view& bytes);
std::optional<std::int64_t> next_number(std::string_view& bytes);
std::optional<std::string_view> next_text(std::string_view& bytes);

// The value of a field, before its type is known.
struct RawValue {
    bool is_text;
    std::int64_t number;   // 0 for a text.
    std::string_view text; // Empty for a number.
};
struct RawField {
    std::uint64_t position;
    RawValue value;
};
std::optional<RawValue> next_value(std::string_view& bytes, bool is_text);
std::optional<RawField> next_field(std::string_view& bytes);

template <class T>
concept NumberValue = std::same_as<T, bool> || std::same_as<T, std::int64_t> || NamedEnum<T> ||
                      std::same_as<T, nanoseconds> || std::same_as<T, WallTime>;

template <NumberValue T>
constexpr std::int64_t to_number(T value)
{
    if constexpr (std::same_as<T, nanoseconds>)
        return value.count();
    else if constexpr (std::same_as<T, WallTime>)
        return value.time_since_epoch().count();
    else
        return static_cast<std::int64_t>(value);
}

// Returns the value with this number. Returns nothing if there is no such value.
template <NumberValue T>
constexpr std::optional<T> from_number(std::int64_t number)
{
    if constexpr (std::same_as<T, std::int64_t>)
        return number;
    else if constexpr (std::same_as<T, WallTime>)
        return number < 0 ? std::nullopt : std::optional{T{nanoseconds{number}}};
    else if constexpr (std::same_as<T, nanoseconds>)
        return number < 0 ? std::nullopt : std::optional{T{number}};
    else if constexpr (std::same_as<T, bool>)
        return number == 0 || number == 1 ? std::optional{number == 1} : std::nullopt;
    else {
        for (const auto& [value, name] : enum_names(T{}))
            if (to_number(value) == number)
                return value;
        return {};
    }
}

template <Message T>
void append_fields(std::string& out, const T& message);

template <class T>
void append_value(std::string& out, const T& value)
{
    if constexpr (NumberValue<T>) {
        append_number(out, to_number(value));
    } else if constexpr (std::same_as<T, std::string>) {
        append_text(out, value);
    } else if constexpr (TextType<T>) {
        append_text(out, value.text());
    } else {
        const auto begin = out.size();
        if constexpr (Message<T>)
            append_fields(out, value);
        else
            for (const auto& element : value)
                append_value(out, element);
        insert_text_size(out, begin);
    }
}

template <class T>
void append_field(std::string& out, std::uint64_t position, const T& value)
{
    if constexpr (is_optional<T>) {
        if (value)
            append_field(out, position, *value);
    } else {
        append_varint(out, 2 * position + (NumberValue<T> ? 0 : 1));
        append_value(out, value);
    }
}

template <Message T>
void append_fields(std::string& out, const T& message)
{
    with_fields<T>([&](const auto&... fields) {
        std::uint64_t position = 0;
        (append_field(out, position++, message.*fields.member), ...);
    });
}

// Appends the record in binary form.
template <Message Record>
void append_record(std::string& out, const Record& record)
{
    out += format;
    append_fields(out, record);
}

template <Message T>
std::optional<T> read_fields(std::string_view bytes);
template <class T>
std::optional<std::vector<T>> read_list(std::string_view bytes);

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <class T>
std::optional<T> read_value(const RawValue& raw)
{
    if (raw.is_text == NumberValue<T>)
        return {}; // The value is of the wrong type.
    if constexpr (NumberValue<T>)
        return from_number<T>(raw.number);
    else if constexpr (Message<T>)
        return read_fields<T>(raw.text);
    else if constexpr (std::same_as<T, std::string>)
        return raw.text.contains('\0') ? std::nullopt : std::optional{std::string{raw.text}};
    else if constexpr (is_vector<T>)
        return read_list<typename T::value_type>(raw.text);
    else
        return T::parse(raw.text);
}

template <class T>
std::optional<std::vector<T>> read_list(std::string_view bytes)
{
    std::vector<T> list;
    while (!bytes.empty()) {
        const auto raw = next_value(bytes, !NumberValue<T>);
        auto value = raw ? read_value<T>(*raw) : std::nullopt;
        if (!value)
            return {};
        list.push_back(*std::move(value));
    }
    return list;
}

// Reads the fields of a struct, in any order. `slots` has an empty std::optional for each field.
template <class... Slots>
bool read_slots(std::string_view bytes, std::tuple<Slots...>& slots)
{
    const auto read = [](auto& slot, const RawValue& raw) {
        using T = typename std::remove_reference_t<decltype(slot)>::value_type;
        if (slot)
            return false; // The field is repeated.
        slot = read_value<T>(raw);
        return slot.has_value();
    };
    while (!bytes.empty()) {
        const auto field = next_field(bytes);
        if (!field)
            return false;
        const auto read_if_at = [&](std::uint64_t position, auto& slot) {
            return position != field->position || read(slot, field->value);
        };
        const bool is_valid = std::apply(
            [&](auto&... slot) {
                std::uint64_t position = 0;
                return (read_if_at(position++, slot) && ...);
            },
            slots);
        if (!is_valid)
            return false;
    }
    return true;
}

template <class T>
struct FieldType {
    using Value = T;
};
template <class T>
struct FieldType<std::optional<T>> {
    using Value = T;
};

// Returns the struct that `bytes` describes. Returns nothing if a field is not valid, is repeated,
// or is missing and not optional.
template <Message T>
std::optional<T> read_fields(std::string_view bytes)
{
    return with_fields<T>([&]<class... Owner, class... M>(const Field<Owner, M>&...) {
        std::tuple<std::optional<typename FieldType<M>::Value>...> slots;
        if (!read_slots(bytes, slots))
            return std::optional<T>{};
        return std::apply(
            [](auto&... slot) -> std::optional<T> {
                if (!((is_optional<M> || slot) && ...))
                    return {};
                return T{[&]() -> M {
                    if constexpr (is_optional<M>)
                        return std::move(slot);
                    else
                        return *std::move(slot);
                }()...};
            },
            slots);
    });
}

// Decodes a record in binary form or in JSON. Returns nothing if the record is not valid.
template <Message Record>
std::optional<Record> read_record(std::string_view bytes)
{
    if (bytes.starts_with(format))
        return read_fields<Record>(bytes.substr(1));
    if (!bytes.starts_with('{'))
        return {};
    json::Document document;
    const auto parsed = document.parse(bytes);
    DecodeContext context{.unknown = UnknownFields::ignore};
    auto record = parsed ? decode<Record>(*parsed, context) : std::unexpected(BadField{});
    return record ? std::optional{*std::move(record)} : std::nullopt;
}

} // namespace evfd::daemon::record
