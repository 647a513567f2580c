// What of the table `evfdctl top` shows, and how: the filter, the order, the place, the pause; what
// a key does to them, and the picture that comes of it. Nothing of a terminal is known here.
#pragma once

#include "client/evfdctl/top/model.h"

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
    erase, // The last character of the filter.
    clear, // The filter; without one, it leaves.
};
using Pressed = std::variant<Key, char>; // A character is the filter's.

enum class Style { plain, faint, bold, heading, chosen_heading, good, bad };
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
    // `place`: which daemon it is about.
    View(std::string title, Order order) : title_{std::move(title)}, order_{order} {}

    Table& table() { return table_; }
    // Why there is no news at the moment; nothing once there is again.
    void set_error(std::optional<std::string> why);
    // By those who were to reach the daemon, to be shown as long as there is trouble.
    void set_remote_message(std::string_view line);
    void resize(Size size) { size_ = size; }
    enum class Next { stay, quit };
    [[nodiscard]] Next press(Pressed pressed, const Now& now);

    // So many lines as fit, none wider than fits.
    std::vector<Line> render(const Now& now) const;
    // When it will look different though nothing happens.
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
    void change_sort_column(std::ptrdiff_t columns);
    void scroll(std::ptrdiff_t rows);
    Line title_line(std::size_t count) const;
    Line footer_line() const;

    std::string title_;
    Table table_;
    std::optional<Frozen> frozen_; // While it pauses.
    std::optional<std::string> error_ = "waiting for the daemon";
    std::string remote_message_;
    std::string filter_;
    Order order_;
    std::size_t first_ = 0; // Row at the top; what is beyond the end counts as the end.
    Size size_{24, 80};
};

} // namespace evfd::top
