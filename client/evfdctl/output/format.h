// Formats the output of evfdctl: columns on a terminal, tab-separated text in a pipe, and JSON on
// request. Makes text from the daemon printable, because the daemon can belong to another user.
#pragma once

#include "common/clock.h"
#include "common/codec.h"
#include "common/printable.h"
#include "common/protocol/protocol.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::report {

// Returns a protocol message as one line of JSON.
template <Message T>
std::string json(T& message)
{
    std::string text;
    std::vector<PassedFd> none;
    EncodeContext out{text, none};
    encode(message, out);
    return printable_json(text);
}

// Replaces the underscores of the protocol's spelling with dashes: "realtime_alarm" becomes
// "realtime-alarm".
std::string dashed(std::string_view word);

// Returns the count and the noun, for example "1 token" or "2 tokens".
std::string plural(std::int64_t count, std::string_view what);

enum class Colour { none, some };
// Returns whether the user wants colour on a terminal, according to $NO_COLOR (no-color.org) and
// $TERM.
Colour terminal_colour();

// Returns the state of an object, for example "set", "3 tokens", "2 subscribers" or "in 1m30s".
// Returns "-" if the caller has no permission to wait for the object.
std::string state(const protocol::Object& object);
std::string show(const protocol::Object& object);
std::string status(const protocol::Status::Reply& status);
std::string change(const protocol::Monitor::Reply& event, Colour colour = Colour::none);

// Formats the lines of `evfdctl monitor` for a terminal: the local time, the change, and the name,
// the mode or clock and the state of the object. The columns are as wide as the longest cell so
// far.
class ChangeLines {
public:
    explicit ChangeLines(Colour colour) : colour_{colour} {}
    std::string add(const protocol::Monitor::Reply& event, WallTime now);

private:
    Colour colour_;
    std::size_t name_width_ = 0;
    std::size_t mode_width_ = 0;
};

// Returns an event's mode or a timer's clock.
std::string mode_or_clock(const protocol::Object& object);

using Row = std::vector<std::string>;
Row object_heading();
Row row(const protocol::Object& object);
Row quota_heading();
std::vector<Row> rows(const protocol::Quotas::User& user);

bool is_for_terminal(); // Returns whether standard output is a terminal.

// Formats rows as text. For a terminal, the text has columns below a heading, which can be empty.
// For any other output, a tab separates the cells of a row.
//
// The widths of columns depend on the rows that are not printed yet. A table keeps a block of at
// most max_block_rows such rows, so that a list of any length needs little memory. The columns of a
// later block can be wider.
class Table {
public:
    static constexpr std::size_t max_block_rows = 1'000;

    Table(Row heading, bool is_for_terminal)
        : heading_{std::move(heading)}, is_for_terminal_{is_for_terminal}
    {
    }
    // Adds a row. Returns the text that can be printed now: the row if the output is not a
    // terminal, or a complete block of rows for a terminal.
    std::string add(Row cells);
    // Called after the last row. Returns the output that is still to be printed.
    std::string end();

private:
    void widen(const Row& cells);
    std::string line(const Row& cells) const;

    Row heading_;
    bool is_for_terminal_;
    std::vector<Row> block_;
    std::vector<std::size_t> widths_; // Empty until the heading is printed.
};

} // namespace evfd::report
