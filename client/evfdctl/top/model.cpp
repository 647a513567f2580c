#include "client/evfdctl/top/model.h"

#include "client/evfdctl/output/format.h"
#include "client/evfdctl/output/users.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdlib>
#include <iterator>

namespace evfd::top {

namespace {

using namespace std::chrono_literals;

// Returns a second, a minute or an hour. The text that is displayed for the duration `span` changes
// at most once in the returned time.
nanoseconds unit_of(nanoseconds span)
{
    if (span < 1min)
        return 1s;
    return span < 1h ? nanoseconds{1min} : nanoseconds{1h};
}

std::string brief(nanoseconds span)
{
    if (span < 1min)
        return fmt::format("{}s", span / 1s);
    if (span < 1h)
        return fmt::format("{}m", span / 1min);
    return span < 48h ? fmt::format("{}h", span / 1h) : fmt::format("{}d", span / 24h);
}

// Returns the time since the object was set. Returns 0 if the clock of the daemon's machine is
// ahead of this machine's clock.
nanoseconds age(const protocol::LastSet& last, const Now& now)
{
    return std::max(nanoseconds{0}, now.wall - last.at);
}

std::string last_set(const protocol::Object& object, const Now& now)
{
    if (!object.last_set)
        return "-";
    const auto& last = *object.last_set;
    return fmt::format("{} ago by {} {}", brief(age(last, now)), report::user(last.uid),
                       last.pid ? fmt::to_string(*last.pid) : "timer");
}

std::string next(const std::optional<MonotonicTime>& expires, const Now& now)
{
    if (!expires)
        return "-";
    const auto left = *expires - now.monotonic;
    return left < 1s ? "<1s" : brief(left);
}

std::string state(const protocol::Object& object)
{
    if (object.is_set && object.timer)
        return std::string{to_string(object.timer->state)};
    return object.mode == Mode::pulse ? "-" : report::state(object);
}

std::weak_ordering compare(const Row& a, const Row& b, Column column)
{
    const auto later_first = [](const auto& x, const auto& y) { return y <=> x; };
    switch (column) {
    case Column::name: return a.object.name <=> b.object.name;
    case Column::kind: return a.object.kind <=> b.object.kind;
    case Column::mode: return report::mode_or_clock(a.object) <=> report::mode_or_clock(b.object);
    case Column::state: { // Objects that are set come first.
        const auto set =
            later_first(a.object.is_set.value_or(false), b.object.is_set.value_or(false));
        return set != 0 ? std::weak_ordering{set} : state(a.object) <=> state(b.object);
    }
    case Column::waits: return later_first(a.object.waits, b.object.waits);
    case Column::subscribers:
        return later_first(a.object.subscribers.value_or(-1), b.object.subscribers.value_or(-1));
    case Column::last_set: {
        const auto at = [](const Row& row) {
            return row.object.last_set ? row.object.last_set->at : WallTime::min();
        };
        return later_first(at(a), at(b));
    }
    case Column::next:
        return a.expires.value_or(MonotonicTime::max()) <=>
               b.expires.value_or(MonotonicTime::max());
    }
    return std::weak_ordering::equivalent;
}

bool contains(std::string_view name, std::string_view part)
{
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    return !std::ranges::search(name, part, {}, lower, lower).empty() || part.empty();
}

} // namespace

std::string Row::cell(Column column, const Now& now) const
{
    switch (column) {
    case Column::name: return std::string{object.name.text()};
    case Column::kind: return std::string{to_string(object.kind)};
    case Column::mode: return report::mode_or_clock(object);
    case Column::state: return state(object);
    case Column::waits: return fmt::to_string(object.waits);
    case Column::subscribers: return object.subscribers ? fmt::to_string(*object.subscribers) : "-";
    case Column::last_set: return last_set(object, now);
    case Column::next: return next(expires, now);
    }
    std::abort();
}

std::optional<MonotonicTime> Row::next_change(const Now& now) const
{
    std::optional<MonotonicTime> first;
    const auto in = [&](nanoseconds span) {
        const auto moment = add_saturating(now.monotonic, span);
        first = first ? std::min(*first, moment) : moment;
    };
    if (object.last_set) {
        const auto passed = age(*object.last_set, now);
        in(unit_of(passed) - passed % unit_of(passed));
    }
    if (expires && *expires - now.monotonic >= 1s) {
        const auto left = *expires - now.monotonic;
        // The displayed number of units is rounded down. At exactly 2 minutes left the text is
        // still "2m", and the text changes one nanosecond later.
        in(left % unit_of(left) + 1ns);
    }
    return first;
}

void Table::apply(const protocol::Monitor::Reply& event, const Now& now)
{
    switch (event.change) {
    case Change::present:
    case Change::created:
    case Change::changed:
        if (event.name && event.object) {
            Row row{*event.object, {}};
            if (row.object.timer && row.object.timer->left)
                row.expires = add_saturating(now.monotonic, *row.object.timer->left);
            put(std::move(row));
        }
        break;
    case Change::deleted:
        if (event.name)
            current().by_name.erase(*event.name);
        break;
    case Change::ready: finish(); break;
    case Change::resync: restart(); break;
    }
}

void Table::put(Row row)
{
    auto& [by_name, is_truncated] = current();
    if (by_name.size() < max_rows || by_name.contains(row.object.name)) {
        const auto name = row.object.name;
        by_name.insert_or_assign(name, std::move(row));
        return;
    }
    is_truncated = true;
    // The rest of the initial list changes nothing, so the display does not wait for it.
    finish();
}

void Table::finish()
{
    if (incoming_rows_)
        rows_ = *std::exchange(incoming_rows_, std::nullopt);
}

std::vector<const Row*> Table::rows(std::string_view part, Order order) const
{
    std::vector<const Row*> chosen;
    for (const auto& [name, row] : rows_.by_name)
        if (contains(name.text(), part))
            chosen.push_back(&row);
    std::ranges::sort(chosen, [&](const Row* a, const Row* b) {
        const auto by = compare(*a, *b, order.column);
        if (by != 0)
            return order.is_reversed ? by > 0 : by < 0;
        // Rows that are equal in this column are sorted by name, even if the order is reversed.
        return a->object.name < b->object.name;
    });
    return chosen;
}

} // namespace evfd::top
