// The codecs of the values that a message can have.
#pragma once

#include "common/clock.h"
#include "common/codec_message.h"
#include "common/enums.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/permissions.h"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd {

// Codecs of single values.

// An integer that is valid in [min, max] only.
template <std::int64_t min, std::int64_t max>
struct BoundedInt {
    std::int64_t value;
    friend bool operator==(BoundedInt, BoundedInt) = default;
};

template <>
struct Codec<bool> {
    static std::optional<bool> read(json::Value value, DecodeContext&)
    {
        if (value.kind() != json::Kind::boolean)
            return {};
        return value.boolean();
    }
    static void write(bool value, EncodeContext& out) { out.text += value ? "true" : "false"; }
    static std::string type(NamedTypes&) { return "bool"; }
    static std::string expected() { return "true or false"; }
};

template <>
struct Codec<std::int64_t> {
    static std::optional<std::int64_t> read(json::Value value, DecodeContext&)
    {
        if (value.kind() != json::Kind::integer)
            return {};
        return value.integer();
    }
    static void write(std::int64_t value, EncodeContext& out)
    {
        json::append_integer(out.text, value);
    }
    static std::string type(NamedTypes&) { return "int"; }
    static std::string expected() { return "a whole number"; }
};

template <std::int64_t min, std::int64_t max>
struct Codec<BoundedInt<min, max>> {
    static std::optional<BoundedInt<min, max>> read(json::Value value, DecodeContext&)
    {
        if (value.kind() != json::Kind::integer || value.integer() < min || value.integer() > max)
            return {};
        return BoundedInt<min, max>{value.integer()};
    }
    static void write(BoundedInt<min, max> value, EncodeContext& out)
    {
        json::append_integer(out.text, value.value);
    }
    static std::string type(NamedTypes&) { return "int"; }
    static std::string expected()
    {
        return "a whole number, " + std::to_string(min) + " to " + std::to_string(max);
    }
};

template <> // A duration in nanoseconds, which is never negative.
struct Codec<nanoseconds> {
    static std::optional<nanoseconds> read(json::Value value, DecodeContext&)
    {
        if (value.kind() != json::Kind::integer || value.integer() < 0)
            return {};
        return nanoseconds{value.integer()};
    }
    static void write(nanoseconds value, EncodeContext& out)
    {
        json::append_integer(out.text, value.count());
    }
    static std::string type(NamedTypes&) { return "int"; }
};

template <> // A time, which is encoded as nanoseconds since 1970.
struct Codec<WallTime> {
    static std::optional<WallTime> read(json::Value value, DecodeContext& context)
    {
        const auto since = Codec<nanoseconds>::read(value, context);
        if (!since)
            return {};
        return WallTime{*since};
    }
    static void write(WallTime value, EncodeContext& out)
    {
        json::append_integer(out.text, value.time_since_epoch().count());
    }
    static std::string type(NamedTypes&) { return "int"; }
};

// Returns the text of a JSON string. Returns nothing if the value is not a string, or if the string
// contains a zero byte.
inline std::optional<std::string_view> text_of(json::Value value)
{
    if (value.kind() != json::Kind::string || value.string().contains('\0'))
        return {};
    return value.string();
}

template <>
struct Codec<std::string> {
    static std::optional<std::string> read(json::Value value, DecodeContext&)
    {
        const auto text = text_of(value);
        return text ? std::optional<std::string>{*text} : std::nullopt;
    }
    static void write(const std::string& value, EncodeContext& out)
    {
        json::append_string(out.text, value);
    }
    static std::string type(NamedTypes&) { return "string"; }
};

// A type that has parse() and is a string on the wire: Name, Pattern, Permissions. A type whose
// values are encoded also has text().
template <class T>
concept TextType = requires(std::string_view text) {
    { T::parse(text) } -> std::same_as<std::optional<T>>;
};

template <TextType T>
struct Codec<T> {
    static std::optional<T> read(json::Value value, DecodeContext&)
    {
        const auto text = text_of(value);
        return text ? T::parse(*text) : std::nullopt;
    }
    static void write(const T& value, EncodeContext& out)
    {
        json::append_string(out.text, value.text());
    }
    static std::string type(NamedTypes&) { return "string"; }
};

template <NamedEnum E>
struct Codec<E> {
    static std::optional<E> read(json::Value value, DecodeContext&)
    {
        const auto text = text_of(value);
        return text ? parse_enum<E>(*text) : std::nullopt;
    }
    static void write(E value, EncodeContext& out)
    {
        json::append_string(out.text, to_string(value));
    }
    static std::string type(NamedTypes& named);
    static std::string expected() // Returns the names as "a, b or c".
    {
        std::string text;
        const auto names = enum_names(E{});
        for (std::size_t i = 0; i < names.size(); ++i)
            (text += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") += names[i].second;
        return text;
    }
};

template <>
struct Codec<PassedFd> {
    static std::optional<PassedFd> read(json::Value value, DecodeContext& context)
    {
        // The indices of a message's descriptors must be 0, 1, 2 and so on, in the order in which
        // they stand in the text. A sender that appends each descriptor to its list writes such
        // indices.
        if (value.kind() != json::Kind::integer || !context.descriptors ||
            value.integer() != static_cast<std::int64_t>(context.fds_named) ||
            context.descriptors->empty())
            return {};
        ++context.fds_named;
        if (!context.descriptors->front()) {
            context.is_missing_fds = true;
            return PassedFd{};
        }
        PassedFd passed{std::move(context.descriptors->front())};
        context.descriptors->pop_front();
        return passed;
    }
    static void write(PassedFd& value, EncodeContext& out)
    {
        json::append_integer(out.text, static_cast<std::int64_t>(out.descriptors.size()));
        out.descriptors.push_back(std::move(value));
    }
    static std::string type(NamedTypes&) { return "int"; }
};

// Codecs of values that contain other values.

// An object whose keys are names of an enum's values. It can be decoded but not encoded.
template <NamedEnum E, class T>
struct EnumMap {
    std::map<E, T> values;
};

// A decoded value, and its place in the JSON document.
template <class T>
struct Located {
    T value;
    json::Value at;
};

template <NamedEnum E, class T>
class StructReader<EnumMap<E, T>> {
public:
    bool read(std::string_view key, json::Value at, DecodeContext& context)
    {
        const auto name = parse_enum<E>(key);
        if (!name)
            return false;
        if (map_.values.contains(*name))
            context.fail(key, Defect::repeated, at.key());
        else if (auto value = read_value<T>(at, context))
            map_.values.emplace(*name, *std::move(value));
        return true;
    }
    std::optional<EnumMap<E, T>> build(const std::optional<json::Value>&, DecodeContext&)
    {
        return std::move(map_);
    }
    template <class F>
    void visit_names(F f) const
    {
        for (const auto& [value, name] : enum_names(E{}))
            f(name);
    }

private:
    EnumMap<E, T> map_;
};

// A list of 1 to max_names_per_call structs that have a `name`, all with different names.
template <class Item>
struct Items {
    std::vector<Item> list;
    friend bool operator==(const Items&, const Items&) = default;
};

template <class T>
struct Codec<std::optional<T>> {
    static std::optional<std::optional<T>> read(json::Value value, DecodeContext& context)
    {
        if (value.kind() == json::Kind::null && context.accepts_null)
            return std::optional<T>{};
        auto read = Codec<T>::read(value, context);
        if (!read)
            return {};
        return std::optional<std::optional<T>>{std::in_place, std::move(read)};
    }
    static void write(std::optional<T>& value, EncodeContext& out) { Codec<T>::write(*value, out); }
    static std::string type(NamedTypes& named) { return "?" + Codec<T>::type(named); }
};

template <NamedEnum E, class T>
struct Codec<EnumMap<E, T>> {
    static std::optional<EnumMap<E, T>> read(json::Value value, DecodeContext& context)
    {
        if (value.kind() != json::Kind::object)
            return {};
        return read_members<EnumMap<E, T>>(value, context);
    }
    static std::string expected() { return "an object with " + field_names<EnumMap<E, T>>(); }
};

template <class T>
struct Codec<Located<T>> {
    static std::optional<Located<T>> read(json::Value value, DecodeContext& context)
    {
        auto read = Codec<T>::read(value, context);
        return read ? std::optional{Located<T>{*std::move(read), value}} : std::nullopt;
    }
    static std::string expected() { return expected_text<T>(); }
};

template <class T>
struct Codec<std::vector<T>> {
    static std::optional<std::vector<T>> read(json::Value value, DecodeContext& context)
    {
        if (value.kind() != json::Kind::array)
            return {};
        std::vector<T> list;
        const auto add = [&](json::Value element) {
            auto read = read_value<T>(element, context);
            if (!read)
                return false;
            list.push_back(*std::move(read));
            return true;
        };
        if (!value.elements(add))
            return {};
        return list;
    }
    static void write(std::vector<T>& list, EncodeContext& out)
    {
        out.text += '[';
        for (auto& value : list) {
            if (&value != &list.front())
                out.text += ',';
            Codec<T>::write(value, out);
        }
        out.text += ']';
    }
    static std::string type(NamedTypes& named) { return "[]" + Codec<T>::type(named); }
    static std::string expected() { return "a list, as [...]"; }
};

// Returns whether two of the items have the same name.
template <class Item>
bool has_duplicates(const std::vector<Item>& items)
{
    if (items.size() < 2)
        return false;
    std::vector<std::string_view> sorted;
    for (const auto& item : items)
        sorted.push_back(item.name.text());
    std::ranges::sort(sorted);
    return std::ranges::adjacent_find(sorted) != sorted.end();
}

template <class Item>
struct Codec<Items<Item>> {
    static std::optional<Items<Item>> read(json::Value value, DecodeContext& context)
    {
        auto list = Codec<std::vector<Item>>::read(value, context);
        if (!list || list->empty() || list->size() > max_names_per_call || has_duplicates(*list))
            return {};
        return Items<Item>{*std::move(list)};
    }
    static void write(Items<Item>& items, EncodeContext& out)
    {
        Codec<std::vector<Item>>::write(items.list, out);
    }
    static std::string type(NamedTypes& named) { return Codec<std::vector<Item>>::type(named); }
};

} // namespace evfd
