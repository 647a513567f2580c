#include "common/envelope.h"

#include "common/limits.h"

namespace evfd {

namespace {

// The functions below read one field of an envelope. They return false if the value is of the wrong
// kind, or if the field is repeated.

bool read_string(json::Value value, std::optional<std::string_view>& into)
{
    const bool is_valid = !into && value.kind() == json::Kind::string;
    into = value.string();
    return is_valid;
}

bool read_flag(json::Value value, std::optional<bool>& into)
{
    const bool is_valid = !into && value.kind() == json::Kind::boolean;
    into = value.boolean();
    return is_valid;
}

bool read_parameters(json::Value value, std::optional<json::Value>& into)
{
    const auto kind = value.kind();
    const bool is_valid = !into && (kind == json::Kind::object || kind == json::Kind::null);
    into = value;
    return is_valid;
}

} // namespace

std::expected<Call, std::string_view> read_call(json::Document& document, std::string_view text)
{
    const auto root = document.parse(text, max_call_values);
    if (!root)
        return std::unexpected(root.error());
    if (root->kind() != json::Kind::object)
        return std::unexpected("not an object");

    std::optional<std::string_view> method;
    std::optional<json::Value> parameters;
    std::optional<bool> more, oneway, upgrade;
    const bool is_valid = root->members([&](std::string_view key, json::Value value) {
        if (key == "method")
            return read_string(value, method);
        if (key == "parameters")
            return read_parameters(value, parameters);
        if (key == "more")
            return read_flag(value, more);
        if (key == "oneway")
            return read_flag(value, oneway);
        if (key == "upgrade")
            return read_flag(value, upgrade);
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
        if (key == "error")
            return read_string(value, reply.error);
        if (key == "parameters")
            return read_parameters(value, reply.parameters);
        if (key == "continues")
            return read_flag(value, continues);
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
