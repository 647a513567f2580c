// The objects as a monitor told of them, for `evfdctl top`: what is in each column, and in which
// order the rows are. Nothing of a terminal is known here.
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
// As --sort and the heading have them.
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

// The moment for which it is shown.
struct Now {
    MonotonicTime monotonic;
    WallTime wall;

    static Now read() { return {monotonic_now(), wall_now()}; }
};

// One object; its daemon's clock may not be ours, but how long is left is the same.
struct Row {
    protocol::Object object;
    std::optional<MonotonicTime> expires;

    std::string cell(Column column, const Now& now) const;
    // When a cell will read otherwise though nothing is told; nothing, if none will.
    std::optional<MonotonicTime> next_change(const Now& now) const;
};

struct Order {
    Column column = Column::name;
    bool is_reversed = false; // Of what one wants to see first: the most, the latest, the soonest.
};

class Table {
public:
    // A monitor begins anew: what there is stays until all has been told.
    void restart() { incoming_rows_.emplace(); }
    void apply(const protocol::Monitor::Reply& event, const Now& now);

    bool is_complete() const { return !incoming_rows_; }
    std::size_t size() const { return rows_.size(); }
    // Those whose name has the text in it, in order.
    std::vector<const Row*> rows(std::string_view part, Order order) const;

private:
    using Rows = std::map<Name, Row>;

    Rows rows_;
    std::optional<Rows> incoming_rows_ = Rows{}; // So far, of a monitor that began.
};

} // namespace evfd::top
