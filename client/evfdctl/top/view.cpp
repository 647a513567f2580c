#include "client/evfdctl/top/view.h"

#include "client/evfdctl/output/format.h"
#include "common/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace evfd::top {

namespace {

constexpr std::size_t reserved_lines = 3; // Lines for the title, heading and footer.
constexpr std::size_t min_name_width = 12;
constexpr std::string_view gap = "  ";

using Widths = std::array<std::size_t, column_count>;

// Returns whether the values become larger from row to row. In the usual order of these three
// columns the largest value comes first.
bool is_ascending(Order order)
{
    const bool is_largest_first = order.column == Column::waits ||
                                  order.column == Column::subscribers ||
                                  order.column == Column::last_set;
    return is_largest_first == order.is_reversed;
}

std::string label(Column column)
{
    std::string text{columns[static_cast<std::size_t>(column)].second};
    for (auto& c : text)
        c = c == '-' ? ' ' : static_cast<char>(c & ~0x20);
    return text;
}

std::string fitted(std::string text, std::size_t width)
{
    if (text.size() > width)
        text = width > 0 ? text.substr(0, width - 1) + '~' : "";
    return fmt::format("{:<{}}", text, width);
}

using Cells = std::array<std::string, column_count>;

Cells cells_of(const Row& row, const Now& now)
{
    Cells cells;
    for (std::size_t i = 0; i < column_count; ++i)
        cells[i] = row.cell(columns[i].first, now);
    return cells;
}

// Returns the widths of the columns on a screen of `all` characters. If the screen is too narrow,
// long names are cut to leave room for the other columns.
//
// The heading of the column `sorted` has a mark.
Widths widths_for(const std::vector<Cells>& rows, Column sorted, std::size_t all)
{
    Widths widths{};
    std::size_t others = 0;
    for (std::size_t i = 0; i < column_count; ++i) {
        widths[i] = label(columns[i].first).size() + (columns[i].first == sorted ? 1 : 0);
        for (const auto& cells : rows)
            widths[i] = std::max(widths[i], cells[i].size());
        others += i > 0 ? gap.size() + widths[i] : 0;
    }
    const auto left = all > others ? all - others : 0;
    widths[0] = std::min(widths[0], std::max(left, min_name_width));
    return widths;
}

Style style_of(const Row& row, Column column)
{
    if (column == Column::name)
        return Style::bold;
    const bool is_set = column == Column::state && row.object.is_set.value_or(false);
    return is_set ? Style::good : Style::plain;
}

Line cut(Line line, std::size_t width)
{
    for (auto piece = line.begin(); piece != line.end(); ++piece) {
        if (piece->text.size() >= width) {
            piece->text.resize(width);
            line.erase(std::next(piece), line.end());
            break;
        }
        width -= piece->text.size();
    }
    return line;
}

// Returns a line with one piece of text for each column. Each piece is padded to the width of the
// column.
template <class Cell>
Line line_of(const Widths& widths, Style between, Cell cell)
{
    Line line;
    for (std::size_t i = 0; i < column_count; ++i) {
        if (i > 0)
            line.push_back({std::string{gap}, between});
        auto [text, style] = cell(columns[i].first);
        line.push_back({fitted(std::move(text), widths[i]), style});
    }
    return line;
}

// The lines of the help.
constexpr std::array<std::string_view, 10> help_lines{
    "q, Ctrl-C         quit",
    "?, h              this help",
    "/                 type a part of a name, and show only such names",
    "Enter             keep the typed part",
    "Esc               clear the typed part, or quit",
    "<, >, left, right choose the column to sort by",
    "r                 reverse the order",
    "space             pause, and continue",
    "up, down, page up, page down, home, end",
    "                  scroll",
};

} // namespace

void View::set_error(std::optional<std::string> why)
{
    error_ = std::move(why);
    if (!error_)
        remote_message_.clear();
}

void View::set_remote_message(std::string_view line)
{
    if (!error_)
        return;
    remote_message_ = line;
    std::ranges::replace_if(remote_message_, [](char c) { return c < ' ' || c == '\x7f'; }, '?');
}

std::size_t View::row_capacity() const
{
    return size_.lines > reserved_lines ? size_.lines - reserved_lines : 0;
}

std::vector<const Row*> View::visible(const std::vector<const Row*>& rows) const
{
    const auto last_first = rows.size() > row_capacity() ? rows.size() - row_capacity() : 0;
    const auto first = std::min(first_, last_first);
    const auto count = std::min(row_capacity(), rows.size() - first);
    return {rows.begin() + static_cast<std::ptrdiff_t>(first),
            rows.begin() + static_cast<std::ptrdiff_t>(first + count)};
}

void View::scroll(std::ptrdiff_t by)
{
    const auto count = rows().size();
    const auto last_first =
        static_cast<std::ptrdiff_t>(count > row_capacity() ? count - row_capacity() : 0);
    const auto now = std::min(static_cast<std::ptrdiff_t>(first_), last_first);
    first_ = static_cast<std::size_t>(std::clamp(now + by, std::ptrdiff_t{0}, last_first));
}

void View::change_sort_column(std::ptrdiff_t by)
{
    constexpr auto count = static_cast<std::ptrdiff_t>(column_count);
    const auto next = (static_cast<std::ptrdiff_t>(order_.column) + by + count) % count;
    order_ = {static_cast<Column>(next), false};
}

View::Next View::press(Pressed pressed, const Now& now)
{
    if (is_help_shown_) { // Any key closes the help.
        is_help_shown_ = false;
        return Next::stay;
    }
    if (const auto* const c = std::get_if<char>(&pressed)) {
        if (!is_typing_filter_)
            return press_command(*c);
        add_to_filter(*c);
        return Next::stay;
    }
    const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(row_capacity(), 1));
    switch (std::get<Key>(pressed)) {
    case Key::up: scroll(-1); break;
    case Key::down: scroll(1); break;
    case Key::page_up: scroll(-page); break;
    case Key::page_down: scroll(page); break;
    case Key::home: first_ = 0; break;
    case Key::end: scroll(static_cast<std::ptrdiff_t>(shown().size())); break;
    case Key::previous_column: change_sort_column(-1); break;
    case Key::next_column: change_sort_column(1); break;
    case Key::reverse: order_.is_reversed = !order_.is_reversed; break;
    case Key::pause: frozen_ = frozen_ ? std::optional<Frozen>{} : Frozen{table_, now}; break;
    case Key::erase:
        if (is_typing_filter_ && !filter_.empty())
            filter_.pop_back();
        break;
    case Key::accept: is_typing_filter_ = false; break;
    case Key::clear: return clear();
    }
    return Next::stay;
}

// Ignores a character that is not a command.
View::Next View::press_command(char command)
{
    if (command == 'q')
        return Next::quit;
    if (command == '?' || command == 'h')
        is_help_shown_ = true;
    if (command == '/')
        is_typing_filter_ = true;
    if (command == 'r')
        order_.is_reversed = !order_.is_reversed;
    return Next::stay;
}

void View::add_to_filter(char c)
{
    if (filter_.size() < max_name_bytes)
        filter_ += c;
    first_ = 0;
}

View::Next View::clear()
{
    if (!is_typing_filter_ && filter_.empty())
        return Next::quit;
    is_typing_filter_ = false;
    filter_.clear();
    return Next::stay;
}

Line View::title_line(std::size_t count) const
{
    auto text = fmt::format("{}: {}", title_,
                            report::plural(static_cast<std::int64_t>(shown().size()), "object"));
    if (shown().is_truncated())
        text += " and more, which a PATTERN can select";
    if (!filter_.empty())
        text += fmt::format(", {} shown", count);
    text += fmt::format(", by {}{}", columns[static_cast<std::size_t>(order_.column)].second,
                        order_.is_reversed ? ", reversed" : "");
    Line line;
    if (frozen_)
        line.push_back({"paused ", Style::bad});
    if (error_)
        line.push_back({remote_message_.empty()
                            ? *error_ + "  "
                            : fmt::format("{} ({})  ", *error_, remote_message_),
                        Style::bad});
    line.push_back({std::move(text)});
    return line;
}

Line View::footer_line() const
{
    constexpr auto keys = "q quit  ? help  / filter  < > sort by  r reverse  space pause";
    if (is_typing_filter_)
        return {{"filter: "},
                {filter_, Style::bold},
                {"  Enter keeps it, Esc clears it", Style::faint}};
    if (filter_.empty())
        return {{keys, Style::faint}};
    return {{"filter: "}, {filter_, Style::bold}, {"  / changes it, Esc clears it", Style::faint}};
}

// Puts the mark behind the label of the column by which the rows are sorted.
Line View::heading_line(const Widths& widths) const
{
    Line line;
    for (auto& piece : line_of(widths, Style::heading, [&](Column column) {
             return Piece{label(column),
                          column == order_.column ? Style::chosen_heading : Style::heading};
         })) {
        if (piece.style != Style::chosen_heading) {
            line.push_back(std::move(piece));
            continue;
        }
        const auto end = label(order_.column).size();
        line.push_back({piece.text.substr(0, end), Style::chosen_heading});
        line.push_back({is_ascending(order_) ? "^" : "v", Style::sort_mark});
        line.push_back({piece.text.substr(end + 1), Style::heading});
    }
    return line;
}

std::vector<Line> View::table_lines(const Now& now) const
{
    const auto& at = frozen_ ? frozen_->now : now;
    const auto all = rows();
    const auto some = visible(all);
    std::vector<Cells> cells;
    for (const auto* row : some)
        cells.push_back(cells_of(*row, at));
    const auto widths = widths_for(cells, order_.column, size_.columns);

    std::vector<Line> lines{title_line(all.size()), heading_line(widths)};
    for (std::size_t i = 0; i < some.size(); ++i)
        lines.push_back(line_of(widths, Style::plain, [&](Column column) {
            return Piece{cells[i][static_cast<std::size_t>(column)], style_of(*some[i], column)};
        }));
    return lines;
}

std::vector<Line> View::render(const Now& now) const
{
    std::vector<Line> lines;
    if (is_help_shown_)
        for (const auto text : help_lines)
            lines.push_back({{std::string{text}}});
    else
        lines = table_lines(now);
    if (is_help_shown_) // The last line of the screen says how to leave the help.
        lines.resize(std::min(lines.size(), std::max(size_.lines, std::size_t{1}) - 1));
    lines.resize(std::max(lines.size(), row_capacity() + reserved_lines - 1));
    lines.push_back(is_help_shown_ ? Line{{"any key closes the help", Style::faint}}
                                   : footer_line());
    lines.resize(std::min(lines.size(), size_.lines));
    for (auto& line : lines)
        line = cut(std::move(line), size_.columns);
    return lines;
}

std::optional<MonotonicTime> View::next_change(const Now& now) const
{
    std::optional<MonotonicTime> first;
    if (frozen_)
        return first;
    for (const auto* row : visible(rows()))
        if (const auto moment = row->next_change(now))
            first = first ? std::min(*first, *moment) : moment;
    return first;
}

} // namespace evfd::top
