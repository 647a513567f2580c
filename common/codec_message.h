// decode() and encode(): a message from JSON and to JSON.
#pragma once

#include "common/codec_field.h"
#include "common/json.h"
#include "common/unique_fd.h"

#include <array>
#include <cstddef>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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

// A field that is being decoded.
class FieldSlot {
public:
    explicit FieldSlot(std::string_view name) : name_{name} {}

    std::string_view name() const { return name_; }
    virtual bool has_value() const = 0;
    // Returns whether the value is valid.
    virtual bool read(json::Value value, DecodeContext& context) = 0;
    // Returns whether the field may be missing. It is then empty.
    virtual bool leave_out() = 0;

protected:
    ~FieldSlot() = default;

private:
    std::string_view name_;
};

template <class T>
class TypedSlot final : public FieldSlot {
public:
    using FieldSlot::FieldSlot;

    bool has_value() const override { return value_.has_value(); }
    bool read(json::Value value, DecodeContext& context) override
    {
        value_ = Codec<T>::read(value, context);
        return value_.has_value();
    }
    bool leave_out() override
    {
        if constexpr (is_optional<T>)
            value_.emplace();
        return value_.has_value();
    }
    T take() { return *std::move(value_); }

private:
    std::optional<T> value_;
};

// Reads the members of `object` into the slots; without an object, leaves all out. Returns the name
// of the first field that is wrong, missing, repeated or unknown.
std::optional<BadField> read_fields(std::optional<json::Value> object, DecodeContext& context,
                                    std::span<FieldSlot* const> slots);

template <Message T, class... Members>
std::expected<T, BadField> read_message(std::optional<json::Value> object, DecodeContext& context,
                                        TypedSlot<Members>... slots)
{
    const std::array<FieldSlot*, sizeof...(slots)> all{&slots...};
    if (auto bad = read_fields(object, context, all))
        return std::unexpected(*std::move(bad));
    return T{slots.take()...};
}

// Returns the message in `parameters`, or the name of the first field, of the message or of a
// nested struct, that is wrong, missing, repeated or unknown. No parameters, null and {} mean the
// same.
template <Message T>
std::expected<T, BadField> decode(std::optional<json::Value> parameters, DecodeContext& context)
{
    if (parameters && parameters->kind() == json::Kind::null)
        parameters.reset();
    return with_fields<T>([&]<class... Members>(const Field<T, Members>&... fields) {
        return read_message<T>(parameters, context, TypedSlot<Members>{fields.name}...);
    });
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
    if (!out.text.ends_with('{')) // The field is not the first one.
        out.text += ',';
    ((out.text += '"') += name) += "\":";
    Codec<T>::write(value, out);
}

// Omits empty optionals.
template <Message T>
void encode(T& message, EncodeContext& out)
{
    out.text += '{';
    with_fields<T>([&](const auto&... fields) {
        (encode_field(fields.name, message.*fields.member, out), ...);
    });
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
