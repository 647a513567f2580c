// The terminal, by ncurses: ours while it lives, and then as it was. One at a time.
#pragma once

#include "client/evfdctl/output/format.h"
#include "client/evfdctl/top/view.h"
#include "evfd/error.h"

#include <memory>
#include <optional>
#include <vector>

struct screen; // ncurses's.

namespace evfd::top {

class Screen {
public:
    // Whether there is a terminal at all; invalid if not.
    static Expected<void> check();
    // invalid: it is one that cannot do it.
    static Expected<Screen> open(report::Colour colour);

    Size size() const;
    void resize(); // To what the terminal is now.
    void show(const std::vector<Line>& lines) const;
    // The next key that was pressed already; other keys are passed over.
    std::optional<Pressed> key() const;

private:
    struct Close {
        void operator()(screen* ours) const;
    };

    Screen(screen* ours, report::Colour colour) : screen_{ours}, colour_{colour} {}

    std::unique_ptr<screen, Close> screen_;
    report::Colour colour_;
};

} // namespace evfd::top
