// Codec: derives the decoder, the encoder and the description of a message from one list of its
// fields.
//
// A struct takes part by a static fields(), in the order of its members:
//
//     static constexpr auto fields() { return std::tuple{field("name", &T::name, "...")}; }
//
// decode<T>() turns a JSON value into the struct, encode() turns the struct into JSON text, and
// describe_fields<T>() lists the fields for the interface text. They work through Codec<T>, which
// is specialised for each kind of value and has three functions:
//
//     read(value, context)   -> std::optional<T>; nothing if the value is not valid
//     write(value, context)  appends JSON text
//     type(named)            -> the name of the type in the Varlink interface
//
// and, for the values of a file that people write, expected(), which describes the valid values.
//
// A validated type (Name, Pattern, BoundedInt, Items, an enum) has a codec that checks its value. A
// decoded message is thus valid in each field, and handlers check only what depends on state.
//
// A file descriptor in a message is the index of a descriptor that came with it (PassedFd).
//
// A struct that is only decoded can list the fields of a member struct among its own (Part), and
// have the names of an enum's values as keys (EnumMap).
//
// What must hold:
//
// - fields() lists every member, in the order of declaration: a struct is built from them in order.
// - The decoder reports the first field that is wrong, missing, repeated or unknown: by its name to
//   a client, and with the place and the valid values for a file that people write. The daemon
//   refuses unknown fields and a client ignores them (UnknownFields), so either may be newer than
//   the other.
#pragma once

#include "common/clock.h"
#include "common/enums.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/name.h"
#include "common/permissions.h"
#include "common/unique_fd.h"

#include <algorithm>
#include <array>
#include <deque>
#include <expected>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace evfd {

// A field of a message: its name on the wire, its member, and its line in the interface text.
template <class Owner, class T>
struct Field {
    std::string_view name;
    T Owner::* member;
    std::string_view comment;
};

template <class Owner, class T>
constexpr Field<Owner, T> field(std::string_view name, T Owner::* member, std::string_view comment)
{
    return {name, member, comment};
}

// A member struct whose fields are keys of the same JSON object as the owner's other fields, but
// for the optional fields that are hidden.
template <class Owner, class T, std::size_t n>
struct Part {
    T Owner::* member;
    std::array<std::string_view, n> hidden;

    constexpr bool hides(std::string_view name) const
    {
        return std::ranges::find(hidden, name) != hidden.end();
    }
};

template <class Owner, class T, class... Names>
constexpr Part<Owner, T, sizeof...(Names)> part(T Owner::* member, Names... hidden)
{
    return {member, {hidden...}};
}

// An integer that is valid in [min, max] only.
template <std::int64_t min, std::int64_t max>
struct BoundedInt {
    std::int64_t value;
    friend bool operator==(BoundedInt, BoundedInt) = default;
};

// 1 to max_names_per_call structs that have a `name`, all with different names.
template <class Item>
struct Items {
    std::vector<Item> list;
    friend bool operator==(const Items&, const Items&) = default;
};

// An object whose keys are names of an enum's values. It is only decoded.
template <NamedEnum E, class T>
struct EnumMap {
    std::map<E, T> values;
};

// A value and its place in the document.
template <class T>
struct Located {
    T value;
    json::Value at;
};

// A descriptor that is sent with the message. On the wire it is an index among the message's
// descriptors.
struct PassedFd {
    UniqueFd fd;
    // Used instead of `fd` if the sender keeps the descriptor.
    std::shared_ptr<const UniqueFd> shared = {};

    int number() const { return shared ? shared->get() : fd.get(); }
};

// Output of an encoder: the text, and the descriptors to send with it.
struct EncodeContext {
    std::string& text;
    std::vector<PassedFd>& descriptors;
};

// How a decoder treats unknown fields. A client may be newer than the daemon, and must then get an
// error. A daemon may be newer than the client, and then sends more than the client asked for.
enum class UnknownFields { refuse, ignore };

enum class Defect { invalid, missing, repeated, unknown };

// A field that cannot be decoded.
struct BadField {
    std::string name = {};
    Defect defect = Defect::invalid;
    // The invalid value; the object that lacks the field; the key of a repeated or an unknown
    // field. It belongs to the document.
    std::optional<json::Value> at = {};
    // Returns a description of the valid values; for an unknown field, the names of all fields.
    std::string (*expected)() = nullptr;
    std::string reason = {}; // Replaces `expected` if the value is not the reason.
};

// Input of a decoder besides the text.
struct DecodeContext {
    UnknownFields unknown = UnknownFields::refuse;
    // Received descriptors; those of the message are at the front. An empty UniqueFd means that the
    // rest of this message's descriptors could not be received.
    std::deque<UniqueFd>* descriptors = nullptr;
    std::size_t fds_named = 0;        // Number of descriptors that the message has named so far.
    bool is_missing_fds = false;      // The message has named one that could not be received.
    bool accepts_null = true;         // Null is an absent value of an optional field.
    std::optional<BadField> bad = {}; // Set by a decoder that fails.
};

// Descriptions of a field and of a named type in the interface text.
struct DescribedField {
    std::string name;
    std::string type; // In Varlink's notation.
    std::string comment;
};
struct DescribedType {
    std::string comment;
    std::vector<DescribedField> fields; // Fields of a struct.
    std::vector<std::string> values;    // Values of an enum.
};

// The named types that an interface needs.
using NamedTypes = std::map<std::string, DescribedType, std::less<>>;

// A list of types.
template <class... Ts>
struct TypeList {};

// Specialised below for each kind of value.
template <class T>
struct Codec;

// Structs.

template <class T>
concept Message = requires { T::fields(); };

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Calls `f(field...)` with the struct's fields.
template <Message T, class F>
constexpr decltype(auto) with_fields(F f)
{
    return std::apply(f, T::fields());
}

// Returns a description of the valid values, such as "a whole number, 1 to 3".
template <class T>
std::string expected_text()
{
    if constexpr (is_optional<T>)
        return expected_text<typename T::value_type>();
    else if constexpr (requires { Codec<T>::expected(); })
        return Codec<T>::expected();
    else if constexpr (requires { T::syntax; })
        return std::string{T::syntax};
    else
        return "another value";
}

// Says in a sentence what is wrong and what to do. The document of `bad.at` must exist.
std::string explain(const BadField& bad);

// Reads a value. If it is not valid, `context.bad` says why.
template <class T>
std::optional<T> read_value(json::Value value, DecodeContext& context)
{
    auto read = Codec<T>::read(value, context);
    if (!read && !context.bad)
        context.bad = BadField{.name = {}, .at = value, .expected = &expected_text<T>};
    return read;
}

// Collects the members of an object, in any order, to a struct or an EnumMap.
template <class T>
class StructReader;

// The place for a field, or for the fields of a part.
template <class Listed>
struct FieldSlot;

template <class Owner, class T>
struct FieldSlot<Field<Owner, T>> {
    // Reads the field that is called `key`. Returns false if this is another one.
    bool read(const Field<Owner, T>& field, std::string_view key, json::Value at,
              DecodeContext& context)
    {
        if (field.name != key)
            return false;
        if (value)
            context.bad = BadField{std::string{key}, Defect::repeated, at.key()};
        else if (value = read_value<T>(at, context); !value && context.bad->name.empty())
            context.bad->name = key;
        return true;
    }
    // Returns false if the field is missing.
    bool complete(const Field<Owner, T>& field, std::optional<json::Value> object,
                  DecodeContext& context)
    {
        if (value)
            return true;
        if constexpr (is_optional<T>)
            value.emplace();
        else
            context.bad =
                BadField{std::string{field.name}, Defect::missing, object, &expected_text<T>};
        return value.has_value();
    }
    template <class F>
    static void visit_names(const Field<Owner, T>& field, F f)
    {
        f(field.name);
    }

    std::optional<T> value;
};

template <class Owner, class T, std::size_t n>
struct FieldSlot<Part<Owner, T, n>> {
    bool read(const Part<Owner, T, n>& part, std::string_view key, json::Value at,
              DecodeContext& context)
    {
        return !part.hides(key) && reader.read(key, at, context);
    }
    bool complete(const Part<Owner, T, n>&, std::optional<json::Value> object,
                  DecodeContext& context)
    {
        value = reader.build(object, context);
        return value.has_value();
    }
    template <class F>
    static void visit_names(const Part<Owner, T, n>& part, F f)
    {
        StructReader<T>::visit_names([&](std::string_view name) {
            if (!part.hides(name))
                f(name);
        });
    }

    StructReader<T> reader;
    std::optional<T> value;
};

struct MakeSlots {
    template <class... Listed>
    std::tuple<FieldSlot<Listed>...> operator()(const Listed&...) const
    {
        return {};
    }
};

template <Message T>
class StructReader<T> {
public:
    // Reads the field that is called `key`. Returns false if there is none.
    bool read(std::string_view key, json::Value at, DecodeContext& context)
    {
        return with_fields<T>([&](const auto&... listed) {
            return std::apply(
                [&](auto&... slots) { return (slots.read(listed, key, at, context) || ...); },
                slots_);
        });
    }
    // Returns the struct; nothing if a field is missing.
    std::optional<T> build(std::optional<json::Value> object, DecodeContext& context)
    {
        return with_fields<T>([&](const auto&... listed) {
            return std::apply(
                [&](auto&... slots) -> std::optional<T> {
                    if (!(slots.complete(listed, object, context) && ...))
                        return {};
                    return T{*std::move(slots.value)...};
                },
                slots_);
        });
    }
    // Calls `f(name)` for each field, parts included.
    template <class F>
    static void visit_names(F f)
    {
        with_fields<T>([&]<class... Listed>(const Listed&... listed) {
            (FieldSlot<Listed>::visit_names(listed, f), ...);
        });
    }

private:
    decltype(with_fields<T>(MakeSlots{})) slots_;
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
            context.bad = BadField{std::string{key}, Defect::repeated, at.key()};
        else if (auto value = read_value<T>(at, context))
            map_.values.emplace(*name, *std::move(value));
        return true;
    }
    std::optional<EnumMap<E, T>> build(std::optional<json::Value>, DecodeContext&)
    {
        return std::move(map_);
    }
    template <class F>
    static void visit_names(F f)
    {
        for (const auto& [value, name] : enum_names(E{}))
            f(name);
    }

private:
    EnumMap<E, T> map_;
};

template <class T>
std::string field_names()
{
    std::string names;
    StructReader<T>::visit_names(
        [&](std::string_view name) { (names += names.empty() ? "" : ", ") += name; });
    return names;
}

// Reads the members of an object; nothing is an object without members.
template <class T>
std::optional<T> read_members(std::optional<json::Value> object, DecodeContext& context)
{
    StructReader<T> reader;
    const auto read = [&](std::string_view key, json::Value value) {
        if (!reader.read(key, value, context) && context.unknown == UnknownFields::refuse)
            context.bad = BadField{std::string{key}, Defect::unknown, value.key(), &field_names<T>};
        return !context.bad;
    };
    if (object && !object->members(read))
        return {};
    return reader.build(object, context);
}

// Returns the message in `parameters`, or the first field, of the message or of a nested struct,
// that is wrong, missing, repeated or unknown. No parameters, null and {} mean the same.
template <Message T>
std::expected<T, BadField> decode(std::optional<json::Value> parameters, DecodeContext& context)
{
    if (parameters && parameters->kind() == json::Kind::null)
        parameters.reset();
    auto message = read_members<T>(parameters, context);
    if (!message)
        return std::unexpected(*std::exchange(context.bad, std::nullopt));
    return *std::move(message);
}

template <Message T>
std::expected<T, BadField> decode(std::optional<json::Value> parameters)
{
    DecodeContext context;
    return decode<T>(parameters, context);
}

// Omits empty optionals.
template <Message T>
void encode(T& message, EncodeContext& out)
{
    out.text += '{';
    bool first = true;
    const auto write = [&]<class M>(const Field<T, M>& field) {
        auto& value = message.*field.member;
        if constexpr (is_optional<M>)
            if (!value)
                return;
        if (!std::exchange(first, false))
            out.text += ',';
        ((out.text += '"') += field.name) += "\":";
        Codec<M>::write(value, out);
    };
    with_fields<T>([&](const auto&... fields) { (write(fields), ...); });
    out.text += '}';
}

template <Message T>
std::vector<DescribedField> describe_fields(NamedTypes& named)
{
    std::vector<DescribedField> described;
    const auto add = [&]<class M>(const Field<T, M>& field) {
        described.push_back(
            {std::string{field.name}, Codec<M>::type(named), std::string{field.comment}});
    };
    with_fields<T>([&](const auto&... fields) { (add(fields), ...); });
    return described;
}

// A nested struct is a named type of the interface text: T::type_name.
template <Message T>
struct Codec<T> {
    static std::optional<T> read(json::Value value, DecodeContext& context)
    {
        if (value.kind() != json::Kind::object)
            return {};
        return read_members<T>(value, context);
    }
    static void write(T& value, EncodeContext& out) { encode(value, out); }
    static std::string type(NamedTypes& named);
    static std::string expected()
    {
        if constexpr (requires { T::example; })
            return "an object, as " + std::string{T::example};
        else
            return "an object, as {\"key\": value}";
    }
};

// Single values.

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

template <> // A span of time, which is never negative.
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

template <> // Nanoseconds since 1970.
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

// Returns the text of a string; nothing for another kind, or for a string with a zero byte.
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

// A type with parse(), which is a string on the wire: Name, Pattern, Permissions. It also has
// text() if it is encoded.
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
    static std::string type(NamedTypes& named)
    {
        if (enum_names(E{}).size() == 1) // Some parsers reject an enum with one value.
            return "string";
        std::vector<std::string> spellings;
        for (const auto& [value, spelling] : enum_names(E{}))
            spellings.emplace_back(spelling);
        if constexpr (requires { named_type(E{}); }) {
            const auto [name, comment] = named_type(E{});
            named.try_emplace(std::string{name},
                              DescribedType{std::string{comment}, {}, std::move(spellings)});
            return std::string{name};
        } else {
            std::string text;
            for (const auto& spelling : spellings)
                (text += text.empty() ? "(" : ", ") += spelling;
            return text + ")";
        }
    }
    static std::string expected() // "a, b or c".
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
        // The indices must be 0, 1, 2 and so on, in the order of the text. Every sender that
        // appends its descriptors writes them so.
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

// Several values.

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
            if (read)
                list.push_back(*std::move(read));
            return read.has_value();
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

template <Message T>
std::string Codec<T>::type(NamedTypes& named)
{
    if (!named.contains(T::type_name)) {
        auto fields = describe_fields<T>(named);
        named.emplace(T::type_name, DescribedType{std::string{T::comment}, std::move(fields), {}});
    }
    return std::string{T::type_name};
}

} // namespace evfd
