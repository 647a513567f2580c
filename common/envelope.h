// The envelope of Varlink messages: method, parameters and flags of a call; error, parameters and
// flags of a reply. The envelope is specified in UAPI.20.
#pragma once

#include "common/json.h"

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// A received call. Its views are valid as long as the document that it was read from.
struct Call {
    std::string_view method; // The full name, such as "io.evfdd.Open".
    std::optional<json::Value> parameters;
    bool more = false;
    bool oneway = false;
    bool upgrade = false; // The client wants to change to another protocol after the reply.
};

// A received reply. Its views are valid as long as the document that it was read from.
struct Reply {
    std::optional<std::string_view> error; // The full name, such as "io.evfdd.NoSuchName".
    std::optional<json::Value> parameters;
    bool continues = false;
};

// Parses a call. On failure returns a short reason; the caller then disconnects the client, because
// no further input of the client can be trusted.
std::expected<Call, std::string_view> read_call(json::Document& document, std::string_view text);
// Parses a reply. On failure returns a short reason; the caller then closes the connection, because
// no further input of the daemon can be trusted.
std::expected<Reply, std::string_view> read_reply(json::Document& document, std::string_view text);

// How many replies a caller wants: one, any number (`more`), or none (`oneway`).
enum class ReplyMode { one, stream, none };

// Appends a call with its zero byte to `out`. `parameters` is the text of a JSON object.
void append_call(std::string& out, std::string_view method, std::string_view parameters,
                 ReplyMode mode);
// Appends an error reply with its zero byte to `out`. `parameters` is the text of a JSON object.
void append_error(std::string& out, std::string_view error, std::string_view parameters);

// Appends the part of a reply before the text of its parameters.
void begin_reply(std::string& out);
// Appends the part of a reply after the text of its parameters. `continues` is true if more replies
// to the call follow.
void end_reply(std::string& out, bool continues);

} // namespace evfd
