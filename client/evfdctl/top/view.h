// The state of the display of `evfdctl top`: filter, order, scroll position and pause, the effect
// of each key on them, and the text that is drawn. This file does not depend on the terminal.
#pragma once

#include "client/evfdctl/top/model.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace evfd::top {

enum class Key {
    up,
    down,
    page_up,
    page_down,
    home,
    end,
    previous_column,
    next_column,
    reverse,
    pause,
    erase,  // Deletes the last character of the filter.
    accept, // Ends the typing of the filter, which stays.
    clear,  // Closes the help, or clears the filter, or quits.
};
// A pressed character is a command, or is added to the filter while the filter is typed.
using Pressed = std::variant<Key, char>;

// The text of a sort_mark is "^" if the values become larger from row to row, and "v" if they
// become smaller. The screen can draw a triangle instead.
enum class Style { plain, faint, bold, heading, chosen_heading, sort_mark, good, bad };
struct Piece {
    std::string text;
    Style style = Style::plain;
};
using Line = std::vector<Piece>;

struct Size {
    std::size_t lines;
    std::size_t columns;
};

class View {
public:
    // `title` is the host of the daemon, or the path of the daemon's socket on this machine.
    View(std::string title, Order order) : title_{std::move(title)}, order_{order} {}

    Table& table() { return table_; }
    // Shows why no events arrive, or shows no error if `why` is empty.
    void set_error(std::optional<std::string> why);
    // Sets the message from ssh. The view shows it together with the error, while there is an
    // error.
    void set_remote_message(std::string_view line);
    void resize(Size size) { size_ = size; }
    enum class Next { stay, quit };
    [[nodiscard]] Next press(Pressed pressed, const Now& now);

    // Returns the lines to draw, cut to the size of the screen.
    std::vector<Line> render(const Now& now) const;
    // Returns the next time at which the drawn text can change, if no event arrives from the
    // daemon. Returns nothing if the text will not change. The text changes by itself because it
    // contains times.
    std::optional<MonotonicTime> next_change(const Now& now) const;

private:
    struct Frozen {
        Table table;
        Now now;
    };

    const Table& shown() const { return frozen_ ? frozen_->table : table_; }
    std::vector<const Row*> rows() const { return shown().rows(filter_, order_); }
    std::size_t row_capacity() const;
    std::vector<const Row*> visible(const std::vector<const Row*>& rows) const;
    Next press_command(char command);
    void add_to_filter(char c);
    Next clear();
    void change_sort_column(std::ptrdiff_t columns);
    void scroll(std::ptrdiff_t rows);
    Line title_line(std::size_t count) const;
    Line footer_line() const;
    Line heading_line(const std::array<std::size_t, column_count>& widths) const;
    std::vector<Line> table_lines(const Now& now) const;

    std::string title_;
    Table table_;
    std::optional<Frozen> frozen_; // The table that is shown while the display is paused.
    std::optional<std::string> error_ = "waiting for the daemon";
    std::string remote_message_;
    std::string filter_;
    bool is_typing_filter_ = false;
    bool is_help_shown_ = false;
    Order order_;
    // The index of the row at the top of the screen. If too few rows follow this row to fill the
    // screen, the screen shows the last rows of the table.
    std::size_t first_ = 0;
    Size size_{24, 80};
};

} // namespace evfd::top
