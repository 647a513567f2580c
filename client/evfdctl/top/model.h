// The objects that a monitor reported, as rows and cells for `evfdctl top`, and their order.
// Independent of the terminal.
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
// Names for --sort and the heading.
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

// The time at which the table is displayed.
struct Now {
    MonotonicTime monotonic;
    WallTime wall;

    static Now read() { return {monotonic_now(), wall_now()}; }
};

// One object. The daemon's clock may differ from ours, so the row keeps the expiry on our clock.
struct Row {
    protocol::Object object;
    std::optional<MonotonicTime> expires;

    std::string cell(Column column, const Now& now) const;
    // Returns the time at which a cell's text changes without an event, if there is one.
    std::optional<MonotonicTime> next_change(const Now& now) const;
};

struct Order {
    Column column = Column::name;
    bool is_reversed = false; // Reverses the natural order: largest, latest or soonest first.
};

class Table {
public:
    // Begins a new initial list. The present rows stay until it is complete.
    void restart() { incoming_rows_.emplace(); }
    void apply(const protocol::Monitor::Reply& event, const Now& now);

    bool is_complete() const { return !incoming_rows_; }
    std::size_t size() const { return rows_.size(); }
    // Returns the rows with `part` in their name, in order.
    std::vector<const Row*> rows(std::string_view part, Order order) const;

private:
    using Rows = std::map<Name, Row>;

    Rows rows_;
    // Rows of an initial list that is not complete yet.
    std::optional<Rows> incoming_rows_ = Rows{};
};

} // namespace evfd::top
