#include "common/envelope.h"

#include "common/limits.h"

namespace evfd {

namespace {

// Reads one field of an envelope. A repeated field is an error.
class EnvelopeField {
public:
    explicit EnvelopeField(json::Value value) : value_{value} {}

    bool string(std::optional<std::string_view>& into)
    {
        if (into || value_.kind() != json::Kind::string)
            return false;
        into = value_.string();
        return true;
    }
    bool flag(std::optional<bool>& into)
    {
        if (into || value_.kind() != json::Kind::boolean)
            return false;
        into = value_.boolean();
        return true;
    }
    bool parameters(std::optional<json::Value>& into)
    {
        const bool fits = value_.kind() == json::Kind::object || value_.kind() == json::Kind::null;
        if (into || !fits)
            return false;
        into = value_;
        return true;
    }

private:
    json::Value value_;
};

} // namespace

std::expected<Call, std::string_view> read_call(json::Document& document, std::string_view text)
{
    const auto root = document.parse_bounded(text, max_call_values);
    if (!root)
        return std::unexpected(root.error());
    if (root->kind() != json::Kind::object)
        return std::unexpected("not an object");

    std::optional<std::string_view> method;
    std::optional<json::Value> parameters;
    std::optional<bool> more, oneway, upgrade;
    const bool is_valid = root->members([&](std::string_view key, json::Value value) {
        EnvelopeField field{value};
        if (key == "method")
            return field.string(method);
        if (key == "parameters")
            return field.parameters(parameters);
        if (key == "more")
            return field.flag(more);
        if (key == "oneway")
            return field.flag(oneway);
        if (key == "upgrade")
            return field.flag(upgrade);
        return true; // Ignores unknown fields, which can be extensions of the client.
    });
    if (!is_valid)
        return std::unexpected("a repeated or malformed key in the call");
    if (!method)
        return std::unexpected("a call without a method");
    if (more.value_or(false) + oneway.value_or(false) + upgrade.value_or(false) > 1)
        return std::unexpected("two of more, oneway and upgrade");
    return Call{*method, parameters, more.value_or(false), oneway.value_or(false),
                upgrade.value_or(false)};
}

std::expected<Reply, std::string_view> read_reply(json::Document& document, std::string_view text)
{
    const auto root = document.parse(text);
    if (!root)
        return std::unexpected(root.error());
    if (root->kind() != json::Kind::object)
        return std::unexpected("not an object");

    Reply reply;
    std::optional<bool> continues;
    const bool is_valid = root->members([&](std::string_view key, json::Value value) {
        EnvelopeField field{value};
        if (key == "error")
            return field.string(reply.error);
        if (key == "parameters")
            return field.parameters(reply.parameters);
        if (key == "continues")
            return field.flag(continues);
        return false;
    });
    if (!is_valid)
        return std::unexpected("an unknown, repeated or malformed key in the reply");
    reply.continues = continues.value_or(false);
    return reply;
}

void append_call(std::string& out, std::string_view method, std::string_view parameters,
                 ReplyMode mode)
{
    out += R"({"method":)";
    json::append_string(out, method);
    (out += R"(,"parameters":)") += parameters;
    switch (mode) {
    case ReplyMode::one: break;
    case ReplyMode::stream: out += R"(,"more":true)"; break;
    case ReplyMode::none: out += R"(,"oneway":true)"; break;
    }
    out += '}';
    out += '\0';
}

void append_error(std::string& out, std::string_view error, std::string_view parameters)
{
    out += R"({"error":)";
    json::append_string(out, error);
    (out += R"(,"parameters":)") += parameters;
    out += '}';
    out += '\0';
}

void begin_reply(std::string& out)
{
    out += R"({"parameters":)";
}

void end_reply(std::string& out, bool continues)
{
    out += continues ? R"(,"continues":true})" : "}";
    out += '\0';
}

} // namespace evfd
