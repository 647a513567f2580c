// What evfdctl prints: for people on a terminal, plain in a pipe, JSON by request. The daemon may
// be a stranger's: what it says in words is made printable here.
#pragma once

#include "common/codec.h"
#include "common/printable.h"
#include "common/protocol/protocol.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::report {

// Any message as one line of JSON.
template <Message T>
std::string json(T& message)
{
    std::string text;
    std::vector<PassedFd> none;
    EncodeContext out{text, none};
    encode(message, out);
    return printable_json(text);
}

// "realtime-alarm": the kernel's documents have a dash where the wire has an underscore.
std::string dashed(std::string_view word);

// "1 token", "2 tokens"
std::string plural(std::int64_t count, std::string_view what);

enum class Colour { none, some };
// What the user wants of a terminal: $NO_COLOR (no-color.org) and $TERM say so.
Colour terminal_colour();

// "set", "clear", "3 tokens", "2 subscribers", "in 1m30s"; "-" for those who may not know.
std::string state(const protocol::Object& object);
std::string show(const protocol::Object& object);
std::string status(const protocol::Status::Reply& status);
std::string change(const protocol::Monitor::Reply& event, Colour colour = Colour::none);

std::string user(protocol::Uid uid); // By name, where there is one. For one thread.
// What a wait does to an event, or what a timer goes by.
std::string mode_or_clock(const protocol::Object& object);

using Row = std::vector<std::string>;
Row object_heading();
Row row(const protocol::Object& object);
Row quota_heading();
std::vector<Row> rows(const protocol::Quotas::User& user);

bool is_for_terminal(); // stdout.

// A line a row, tab-separated. For a terminal, in columns under a heading.
class Table {
public:
    Table(Row heading, bool is_for_terminal)
        : heading_{std::move(heading)}, is_for_terminal_{is_for_terminal}
    {
    }
    // What can be printed already.
    std::string add(Row cells);
    // What is left.
    std::string end() const;

private:
    Row heading_;
    bool is_for_terminal_;
    std::vector<Row> rows_;
};

} // namespace evfd::report
