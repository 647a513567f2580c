// What a Varlink message is wrapped in: who is called and how, or what is answered. UAPI.20
#pragma once

#include "common/json.h"

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

// A call as it came. Its views are good as long as the document it was read from.
struct Call {
    std::string_view method; // Full: "io.evfdd.Open".
    std::optional<json::Value> parameters;
    bool more = false;
    bool oneway = false;
    bool upgrade = false; // To another protocol, once it is answered.
};

// A reply as it came, likewise.
struct Reply {
    std::optional<std::string_view> error; // Full: "io.evfdd.NoSuchName".
    std::optional<json::Value> parameters;
    bool continues = false;
};

// Nothing else is a call, or a reply: what is wrong is said in a few words, and the peer that sent
// it is let go, for what follows cannot be trusted either.
std::expected<Call, std::string_view> read_call(json::Document& document, std::string_view text);
std::expected<Reply, std::string_view> read_reply(json::Document& document, std::string_view text);

// What the caller wants to hear: one reply, any number of them (`more`), or nothing (`oneway`).
enum class ReplyMode { one, stream, none };

// Each appends one whole frame, its zero byte included, to `out`. `parameters` is an object's text.
void append_call(std::string& out, std::string_view method, std::string_view parameters,
                 ReplyMode mode);
void append_error(std::string& out, std::string_view error, std::string_view parameters);

// A reply is written around its parameters: begin, then the parameters' text, then end.
void begin_reply(std::string& out);
void end_reply(std::string& out, bool continues);

} // namespace evfd
