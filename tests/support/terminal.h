// A terminal with a program in it, as a person in front of it sees it: a pty, whose other end
// libvterm draws.
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
    // Reads on until it holds; throws, with what there is to be seen, if that takes too long.
    void await(const std::function<bool()>& condition);
    void await(std::string_view text)
    {
        await([&] { return shows(text); });
    }
    bool shows(std::string_view text) const;
    // Without the blanks at its end.
    std::string line(int number) const;
    // The line that begins with the word; empty if there is none.
    std::string line_of(std::string_view word) const;
    // The first words of some lines, from that one on.
    std::vector<std::string> words(int first, int count) const;
    // Whether what stands so far behind the beginning of the text has a colour.
    bool is_coloured(std::string_view text, int offset) const;
    // To the program's end.
    Status wait();
    // As it was before the program: echoing, a line at a time, with a cursor, the first screen.
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
    UniqueFd pts_; // So that it stays when the program ends.
    termios before_{};
    std::optional<Process> process_;
};

} // namespace evfd::e2e
