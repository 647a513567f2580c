// A program that runs in a pty. libvterm draws its output, so that a test can inspect the screen.
#pragma once

#include "tests/support/process.h"

#include <termios.h>
#include <vterm.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::e2e {

class Terminal {
public:
    explicit Terminal(Command command, int lines = 24, int columns = 110);
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    void type(std::string_view keys) const;
    void resize(int lines, int columns);
    // Reads output until the condition holds. At the deadline, throws an exception whose message
    // has the contents of the screen.
    void await(const std::function<bool()>& condition);
    void await(std::string_view text)
    {
        await([&] { return shows(text); });
    }
    bool shows(std::string_view text) const;
    // Returns a line of the screen without trailing blanks.
    std::string line(int number) const;
    // Returns the line of the screen that begins with the word, or an empty string.
    std::string line_of(std::string_view word) const;
    // Returns the first word of each of `count` lines of the screen, from line `first` on.
    std::vector<std::string> words(int first, int count) const;
    // Finds the text on the screen, and then the cell that is `offset` columns after the start of
    // the text. Returns whether the foreground colour of this cell is not the default colour.
    bool is_coloured(std::string_view text, int offset) const;
    // Waits for the end of the program and returns its status.
    Status wait();
    // Returns whether the terminal is as it was before the program ran: echo, line mode, cursor and
    // main screen.
    bool is_restored() const;
    Process& process() { return *process_; }

private:
    struct Deleter {
        void operator()(VTerm* terminal) const { ::vterm_free(terminal); }
    };

    static int on_property(VTermProp property, VTermValue* value, void* self);
    bool read();
    std::string text() const;

    int lines_;
    int columns_;
    std::unique_ptr<VTerm, Deleter> vterm_;
    VTermScreen* screen_;
    bool is_other_screen_ = false;
    bool has_cursor_ = true;
    UniqueFd ptm_;
    // This descriptor keeps the terminal side of the pty open after the program has ended, so that
    // is_restored() can still read the settings of the terminal.
    UniqueFd pts_;
    termios before_{};
    std::optional<Process> process_;
};

} // namespace evfd::e2e
