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
// A validated type (Name, Pattern, BoundedInt, Items, an enum) has a codec that checks its value. A
// decoded message is thus valid in each field, and handlers check only what depends on state.
//
// A file descriptor in a message is the index of a descriptor that came with it (PassedFd).
//
// What must hold:
//
// - fields() lists every member, in the order of declaration: a struct is built from them in order.
// - The decoder names the first field that is wrong, missing, repeated or unknown. The daemon
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

// Input of a decoder besides the text.
struct DecodeContext {
    UnknownFields unknown = UnknownFields::refuse;
    // Received descriptors; those of the message are at the front. An empty UniqueFd means that the
    // rest of this message's descriptors could not be received.
    std::deque<UniqueFd>* descriptors = nullptr;
    std::size_t fds_named = 0;   // Number of descriptors that the message has named so far.
    bool is_missing_fds = false; // The message has named one that could not be received.
    std::string inner = {};      // The wrong field of a nested struct, if that is what is wrong.
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

struct BadField {
    std::string name;
};

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

template <Message T, class... Members>
std::expected<T, BadField> decode_fields(std::optional<json::Value> object, DecodeContext& context,
                                         const Field<T, Members>&... fields)
{
    std::tuple<std::optional<Members>...> values;
    std::string_view bad_field;

    const auto read = [&](std::string_view key, json::Value value) {
        bool known = false;
        const auto try_field = [&]<class M>(const Field<T, M>& field, std::optional<M>& slot) {
            if (known || field.name != key)
                return;
            known = true;
            if (slot) // A repeated key.
                bad_field = field.name;
            else if (slot = Codec<M>::read(value, context); !slot)
                bad_field = context.inner.empty() ? field.name : std::string_view{context.inner};
        };
        std::apply([&](auto&... slots) { (try_field(fields, slots), ...); }, values);
        if (!known && context.unknown == UnknownFields::refuse)
            bad_field = key;
        return bad_field.empty() && (known || context.unknown == UnknownFields::ignore);
    };
    if (object && !object->members(read))
        return std::unexpected(BadField{std::string{bad_field}});

    const auto complete = [&]<class M>(const Field<T, M>& field, std::optional<M>& slot) {
        if (slot)
            return true;
        if constexpr (is_optional<M>)
            slot.emplace();
        else
            bad_field = field.name;
        return slot.has_value();
    };
    return std::apply(
        [&](auto&... slots) -> std::expected<T, BadField> {
            if (!(complete(fields, slots) && ...))
                return std::unexpected(BadField{std::string{bad_field}});
            return T{*std::move(slots)...};
        },
        values);
}

// Returns the message in `parameters`, or the name of the first field, of the message or of a
// nested struct, that is wrong, missing, repeated or unknown. No parameters, null and {} mean the
// same.
template <Message T>
std::expected<T, BadField> decode(std::optional<json::Value> parameters, DecodeContext& context)
{
    if (parameters && parameters->kind() == json::Kind::null)
        parameters.reset();
    return with_fields<T>(
        [&](const auto&... fields) { return decode_fields<T>(parameters, context, fields...); });
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
        auto message = decode<T>(value, context);
        if (!message) {
            context.inner = std::move(message.error().name);
            return {};
        }
        return *std::move(message);
    }
    static void write(T& value, EncodeContext& out) { encode(value, out); }
    static std::string type(NamedTypes& named);
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

// A type with parse() and text(), which is a string on the wire: Name, Pattern, Permissions.
template <class T>
concept TextType = requires(const T& value, std::string_view text) {
    { T::parse(text) } -> std::same_as<std::optional<T>>;
    { std::string{value.text()} };
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
        if (value.kind() == json::Kind::null)
            return std::optional<T>{};
        auto read = Codec<T>::read(value, context);
        if (!read)
            return {};
        return std::optional<std::optional<T>>{std::in_place, std::move(read)};
    }
    static void write(std::optional<T>& value, EncodeContext& out) { Codec<T>::write(*value, out); }
    static std::string type(NamedTypes& named) { return "?" + Codec<T>::type(named); }
};

template <class T>
struct Codec<std::vector<T>> {
    static std::optional<std::vector<T>> read(json::Value value, DecodeContext& context)
    {
        if (value.kind() != json::Kind::array)
            return {};
        std::vector<T> list;
        const auto add = [&](json::Value element) {
            auto read = Codec<T>::read(element, context);
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
