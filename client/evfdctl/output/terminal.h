// Screen: draws on the terminal by means of ncurses. The destructor restores the terminal. Only one
// Screen may exist at a time.
#pragma once

#include "client/evfdctl/output/format.h"
#include "client/evfdctl/top/view.h"
#include "evfd/error.h"

#include <memory>
#include <optional>
#include <vector>

struct screen; // Declared in the header of ncurses.

namespace evfd::top {

class Screen {
public:
    // Fails with ErrorCode::invalid if standard input or output is not a terminal.
    static Expected<void> check();
    // Fails with ErrorCode::invalid if $TERM is unknown or the cursor of the terminal cannot be
    // moved.
    static Expected<Screen> open(report::Colour colour);

    Size size() const;
    void resize(); // Adopts the terminal's present size.
    void show(const std::vector<Line>& lines) const;
    // Returns the next key in the input, if there is one. Unknown keys are skipped.
    std::optional<Pressed> key() const;

private:
    struct Close {
        void operator()(screen* terminal) const;
    };

    Screen(screen* terminal, report::Colour colour) : screen_{terminal}, colour_{colour} {}

    std::unique_ptr<screen, Close> screen_;
    report::Colour colour_;
    bool has_triangles_ = false; // Whether the locale has the characters for a sort_mark.
};

} // namespace evfd::top
