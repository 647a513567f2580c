// decode() and encode(): a message from JSON and to JSON.
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

// The named types that an interface needs; see common/codec_describe.h.
struct DescribedType;
using NamedTypes = std::map<std::string, DescribedType, std::less<>>;

// A list of types.
template <class... Ts>
struct TypeList {};

// Specialised for each kind of value.
template <class T>
struct Codec;

struct BadField {
    std::string name;
};

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

} // namespace evfd
