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
    View(std::string place, Order order) : place_{std::move(place)}, order_{order} {}

    Table& table() { return table_; }
    // Why there is no news at the moment; nothing once there is again.
    void set_trouble(std::optional<std::string> why);
    // By those who were to reach the daemon, to be shown as long as there is trouble.
    void set_said(std::string_view line);
    void resize(Size size) { size_ = size; }
    enum class Next { keep, leave };
    [[nodiscard]] Next press(Pressed pressed, const Now& now);

    // So many lines as fit, none wider than fits.
    std::vector<Line> picture(const Now& now) const;
    // When it will look different though nothing happens.
    std::optional<MonotonicTime> changes_by_itself(const Now& now) const;

private:
    struct Frozen {
        Table table;
        Now now;
    };

    const Table& shown() const { return frozen_ ? frozen_->table : table_; }
    std::vector<const Row*> rows() const { return shown().rows(filter_, order_); }
    std::size_t room() const;
    std::vector<const Row*> visible(const std::vector<const Row*>& rows) const;
    void turn(std::ptrdiff_t columns);
    void scroll(std::ptrdiff_t rows);
    Line title(std::size_t count) const;
    Line foot() const;

    std::string place_;
    Table table_;
    std::optional<Frozen> frozen_; // While it pauses.
    std::optional<std::string> trouble_ = "waiting for the daemon";
    std::string said_;
    std::string filter_;
    Order order_;
    std::size_t first_ = 0; // Row at the top; what is beyond the end counts as the end.
    Size size_{24, 80};
};

} // namespace evfd::top
