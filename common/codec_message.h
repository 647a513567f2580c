// decode() reads a message from JSON, and encode() writes a message as JSON.
#pragma once

#include "common/codec_field.h"
#include "common/json.h"
#include "common/unique_fd.h"

#include <cstddef>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace evfd {

// A descriptor that is sent with the message. On the wire, the descriptor is an index into the list
// of the message's descriptors.
struct PassedFd {
    UniqueFd fd;
    // The descriptor, if the sender keeps it. In this case `fd` is empty.
    std::shared_ptr<const UniqueFd> shared = {};

    int number() const { return shared ? shared->get() : fd.get(); }
};

// The output of an encoder: the text, and the descriptors to send with the text.
struct EncodeContext {
    std::string& text;
    std::vector<PassedFd>& descriptors;
};

// How a decoder treats unknown fields. The daemon refuses them, because a newer client must learn
// that they have no effect. A client ignores them, because a newer daemon sends fields that the
// client does not know.
enum class UnknownFields { refuse, ignore };

enum class Defect { invalid, missing, repeated, unknown };

// A field that cannot be decoded.
struct BadField {
    std::string name = {};
    Defect defect = Defect::invalid;
    // The place of the defect: the invalid value, the object that lacks the field, or the key of a
    // repeated or an unknown field. `at` is a view of the parsed document.
    std::optional<json::Value> at = {};
    // Returns a description of the valid values. For an unknown field, returns the names of all
    // fields.
    std::string (*expected)() = nullptr;
    // The complete sentence for people, if a sentence made from `expected` would be wrong. Usually
    // empty.
    std::string reason = {};
};

// The settings and descriptors that a decoder needs besides the JSON value, and the first defect
// that the decoder finds.
struct DecodeContext {
    UnknownFields unknown = UnknownFields::refuse;
    // The received descriptors. The descriptors of this message are at the front. An empty UniqueFd
    // means that the rest of this message's descriptors could not be received.
    std::deque<UniqueFd>* descriptors = nullptr;
    std::size_t fds_named = 0; // The number of descriptors that the message has named so far.
    // True if the message has named a descriptor that could not be received.
    bool is_missing_fds = false;
    bool accepts_null = true; // True if null stands for the absent value of an optional field.
    std::optional<BadField> bad = {}; // The first defect, which is set by a decoder that fails.

    // Records the defect in `bad`, unless the decoder of a nested value has already recorded one.
    // If the recorded defect has no name yet, gives it the name `name`.
    void fail(std::string_view name, Defect defect, std::optional<json::Value> at,
              std::string (*expected)() = nullptr);
};

// The named types that an interface needs; see common/codec_describe.h.
struct DescribedType;
using NamedTypes = std::map<std::string, DescribedType, std::less<>>;

template <class... Ts>
struct TypeList {};

// Decodes and encodes values of the type T. Specialised for each kind of value.
template <class T>
struct Codec;

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

// Returns a sentence that says what is wrong and what to do. The document that `bad.at` belongs to
// must still exist.
std::string explain(const BadField& bad);

// Reads a value. If the value is not valid, `context.bad` says why.
template <class T>
std::optional<T> read_value(json::Value value, DecodeContext& context)
{
    auto read = Codec<T>::read(value, context);
    if (!read)
        context.fail({}, Defect::invalid, value, &expected_text<T>);
    return read;
}

// Reads the members of a JSON object in any order, and builds a struct or an EnumMap from them.
template <class T>
class StructReader;

// Stores the value of a field, or of the fields of a Part, while the struct is decoded.
template <class Listed>
class FieldSlot;

template <class Owner, class T>
class FieldSlot<Field<Owner, T>> {
public:
    explicit FieldSlot(const Field<Owner, T>& field) : name_{field.name} {}

    // Reads the field if its name is `key`. Returns false if the field has another name.
    bool read(std::string_view key, json::Value at, DecodeContext& context)
    {
        if (name_ != key)
            return false;
        read(at, context);
        return true;
    }
    // If an optional field is missing, gives it an empty value. Returns false if a required field
    // is missing.
    bool complete(const std::optional<json::Value>& object, DecodeContext& context)
    {
        if (value_)
            return true;
        if constexpr (is_optional<T>)
            value_.emplace();
        else
            context.fail(name_, Defect::missing, object, &expected_text<T>);
        return value_.has_value();
    }
    T&& take() { return *std::move(value_); }
    template <class F>
    void visit_names(F f) const
    {
        f(name_);
    }

private:
    void read(json::Value at, DecodeContext& context)
    {
        if (value_)
            context.fail(name_, Defect::repeated, at.key());
        else if (value_ = Codec<T>::read(at, context); !value_)
            context.fail(name_, Defect::invalid, at, &expected_text<T>);
    }

    std::string_view name_;
    std::optional<T> value_;
};

template <class Owner, class T, std::size_t n>
class FieldSlot<Part<Owner, T, n>> {
public:
    explicit FieldSlot(const Part<Owner, T, n>& part) : part_{part} {}

    bool read(std::string_view key, json::Value at, DecodeContext& context)
    {
        return !part_.hides(key) && reader_.read(key, at, context);
    }
    bool complete(const std::optional<json::Value>& object, DecodeContext& context)
    {
        value_ = reader_.build(object, context);
        return value_.has_value();
    }
    T&& take() { return *std::move(value_); }
    template <class F>
    void visit_names(F f) const
    {
        reader_.visit_names([&](std::string_view name) {
            if (!part_.hides(name))
                f(name);
        });
    }

private:
    Part<Owner, T, n> part_;
    StructReader<T> reader_;
    std::optional<T> value_;
};

struct MakeSlots {
    template <class... Listed>
    std::tuple<FieldSlot<Listed>...> operator()(const Listed&... listed) const
    {
        return std::tuple<FieldSlot<Listed>...>{listed...};
    }
};

template <Message T>
class StructReader<T> {
public:
    // Reads the field whose name is `key`. Returns false if the struct has no such field.
    bool read(std::string_view key, json::Value at, DecodeContext& context)
    {
        return std::apply([&](auto&... slots) { return (slots.read(key, at, context) || ...); },
                          slots_);
    }
    // Returns the struct; nothing if a field is missing.
    std::optional<T> build(const std::optional<json::Value>& object, DecodeContext& context)
    {
        return std::apply(
            [&](auto&... slots) -> std::optional<T> {
                if (!(slots.complete(object, context) && ...))
                    return {};
                return T{slots.take()...};
            },
            slots_);
    }
    // Calls `f(name)` for each field of the struct. Each Part contributes the fields that it does
    // not hide.
    template <class F>
    void visit_names(F f) const
    {
        std::apply([&](const auto&... slots) { (slots.visit_names(f), ...); }, slots_);
    }

private:
    using Slots = decltype(with_fields<T>(MakeSlots{}));
    Slots slots_ = with_fields<T>(MakeSlots{});
};

template <class T>
std::string field_names()
{
    std::string names;
    StructReader<T>{}.visit_names(
        [&](std::string_view name) { (names += names.empty() ? "" : ", ") += name; });
    return names;
}

// Reads the members of a JSON object. An empty `object` counts as a JSON object without members.
template <class T>
std::optional<T> read_members(std::optional<json::Value> object, DecodeContext& context)
{
    StructReader<T> reader;
    const auto read = [&](std::string_view key, json::Value value) {
        if (!reader.read(key, value, context) && context.unknown == UnknownFields::refuse)
            context.fail(key, Defect::unknown, value.key(), &field_names<T>);
        return !context.bad;
    };
    if (object && !object->members(read))
        return {};
    return reader.build(object, context);
}

// Returns the message in `parameters`. An empty optional, null and {} all mean a message without
// fields. On failure, returns the first field that is wrong, missing, repeated or unknown, in the
// message or in a nested struct.
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

template <class T>
void encode_field(std::string_view name, T& value, EncodeContext& out)
{
    if constexpr (is_optional<T>)
        if (!value)
            return;
    json::append_key(out.text, name);
    Codec<T>::write(value, out);
}

// Appends the message as a JSON object, without the optional fields that have no value.
template <Message T>
void encode(T& message, EncodeContext& out)
{
    out.text += '{';
    with_fields<T>([&](const auto&... fields) {
        (encode_field(fields.name, message.*fields.member, out), ...);
    });
    out.text += '}';
}

// In the interface text a nested struct is a type of its own, which has the name T::type_name.
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

} // namespace evfd
