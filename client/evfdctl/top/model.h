// Table: holds the objects that a monitor reported, as the rows and cells of `evfdctl top`, and
// sorts them. This file does not depend on the terminal.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::top {

enum class Column { name, kind, mode, state, waits, subscribers, last_set, next };
inline constexpr std::size_t column_count = 8;
// The names of the columns, for --sort and for the heading.
inline constexpr std::array<std::pair<Column, std::string_view>, column_count> columns{{
    {Column::name, "name"},
    {Column::kind, "kind"},
    {Column::mode, "mode"},
    {Column::state, "state"},
    {Column::waits, "waits"},
    {Column::subscribers, "subs"},
    {Column::last_set, "last-set"},
    {Column::next, "next"},
}};

// The time at which the table is displayed, by two clocks.
struct Now {
    MonotonicTime monotonic;
    WallTime wall;

    static Now read() { return {monotonic_now(), wall_now()}; }
};

// An object in the table. `expires` is the time of the next expiration by the clock of this
// machine, because the clock of the daemon's machine can show another time.
struct Row {
    protocol::Object object;
    std::optional<MonotonicTime> expires;

    std::string cell(Column column, const Now& now) const;
    // Returns the next time at which the text of a cell can change only because time passes, for
    // example from "5s" to "6s". Returns nothing if no cell changes with time.
    std::optional<MonotonicTime> next_change(const Now& now) const;
};

struct Order {
    Column column = Column::name;
    // Whether the usual order of the column is reversed. The usual order of texts is alphabetical.
    // The usual order of numbers has the largest number first. The latest set and the soonest
    // expiration come first.
    bool is_reversed = false;
};

// A table has at most max_rows rows, so that its memory is limited. Further objects are left out.
class Table {
public:
    static constexpr std::size_t max_rows = 50'000;

    // Begins a new initial list of objects. The present rows stay until the new list is complete.
    void restart() { incoming_rows_ = Rows{}; }
    void apply(const protocol::Monitor::Reply& event, const Now& now);

    // Returns whether the initial list is in the table: all of its objects, or the first max_rows.
    bool is_complete() const { return !incoming_rows_; }
    std::size_t size() const { return rows_.by_name.size(); }
    // Returns whether objects were left out.
    bool is_truncated() const { return rows_.is_truncated; }
    // Returns the rows whose names contain `part`, sorted by `order`.
    std::vector<const Row*> rows(std::string_view part, Order order) const;

private:
    struct Rows {
        std::map<Name, Row> by_name = {};
        bool is_truncated = false;
    };

    Rows& current() { return incoming_rows_ ? *incoming_rows_ : rows_; }
    void put(Row row);
    void finish();

    Rows rows_;
    // The rows of an initial list that is not complete yet.
    std::optional<Rows> incoming_rows_ = Rows{};
};

} // namespace evfd::top
