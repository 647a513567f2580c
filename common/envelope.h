// The envelope of Varlink messages: method, parameters and flags of a call; error, parameters and
// flags of a reply. UAPI.20
#pragma once

#include "common/json.h"

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// A received call. Its views are valid as long as the document that it was read from.
struct Call {
    std::string_view method; // Full name: "io.evfdd.Open".
    std::optional<json::Value> parameters;
    bool more = false;
    bool oneway = false;
    bool upgrade = false; // The connection is to change to another protocol after the reply.
};

// A received reply. Its views are valid as long as the document that it was read from.
struct Reply {
    std::optional<std::string_view> error; // Full name: "io.evfdd.NoSuchName".
    std::optional<json::Value> parameters;
    bool continues = false;
};

// Parse a call or a reply. On failure they return a short reason, and the caller disconnects the
// peer, because nothing that follows can be trusted.
std::expected<Call, std::string_view> read_call(json::Document& document, std::string_view text);
std::expected<Reply, std::string_view> read_reply(json::Document& document, std::string_view text);

// Replies that a caller wants: one, any number (`more`), or none (`oneway`).
enum class ReplyMode { one, stream, none };

// Append one whole frame with its zero byte to `out`. `parameters` is the text of an object.
void append_call(std::string& out, std::string_view method, std::string_view parameters,
                 ReplyMode mode);
void append_error(std::string& out, std::string_view error, std::string_view parameters);

// Write the parts of a reply before and after the text of its parameters.
void begin_reply(std::string& out);
void end_reply(std::string& out, bool continues);

} // namespace evfd
