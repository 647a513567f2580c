#include "client/evfdctl/output/terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <string_view>

// Without NCURSES_NOMACROS, curses.h defines macros with common names, such as clear().
#define NCURSES_NOMACROS 1
#include <ncursesw/curses.h>

namespace evfd::top {

namespace {

constexpr int escape = 27;
// How long ncurses waits after an ESC byte for the rest of the escape sequence of a key. The time
// is long enough for a terminal that is connected over a network.
constexpr int escape_delay_ms = 100;

constexpr int control(char letter)
{
    return letter & 0x1f;
}

enum Pair : short { pair_good = 1, pair_bad };

Error terminal_error(std::string_view why)
{
    return {ErrorCode::invalid, std::string{"top needs a terminal"} + std::string{why} +
                                    "; use evfdctl monitor elsewhere"};
}

attr_t attributes_of(Style style, report::Colour colour)
{
    const auto painted = [&](Pair pair) {
        return colour == report::Colour::some ? static_cast<attr_t>(::COLOR_PAIR(pair)) : A_BOLD;
    };
    switch (style) {
    case Style::plain: return A_NORMAL;
    case Style::faint: return A_DIM;
    case Style::bold: return A_BOLD;
    case Style::heading: return A_REVERSE;
    case Style::chosen_heading:
    case Style::sort_mark: return A_REVERSE | A_BOLD;
    case Style::good: return painted(pair_good);
    case Style::bad: return painted(pair_bad);
    }
    return A_NORMAL;
}

std::string_view triangle(std::string_view mark)
{
    return mark == "v" ? "\u25bc" : "\u25b2";
}

} // namespace

Expected<void> Screen::check()
{
    if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1)
        return std::unexpected(terminal_error(""));
    return {};
}

Expected<Screen> Screen::open(report::Colour colour)
{
    std::setlocale(LC_CTYPE, "");
    auto* const terminal = ::newterm(nullptr, stdout, stdin);
    if (!terminal)
        return std::unexpected(terminal_error(", and $TERM names an unknown one"));
    Screen screen{terminal, colour};
    screen.has_triangles_ = std::string_view{::nl_langinfo(CODESET)} == "UTF-8";
    // Rejects a terminal whose cursor cannot be moved. ncurses itself would not reject the
    // terminal.
    if (!::tigetstr("cup"))
        return std::unexpected(
            terminal_error(" whose cursor can be moved, and $TERM names another"));
    ::cbreak();
    ::noecho();
    ::nonl();
    ::keypad(::stdscr, true);
    ::nodelay(::stdscr, true);
    ::set_escdelay(escape_delay_ms);
    ::curs_set(0);
    if (colour == report::Colour::some && ::has_colors()) {
        ::start_color();
        ::use_default_colors();
        ::init_pair(pair_good, COLOR_GREEN, -1);
        ::init_pair(pair_bad, COLOR_RED, -1);
    } else {
        screen.colour_ = report::Colour::none;
    }
    return screen;
}

void Screen::Close::operator()(screen* terminal) const
{
    ::endwin();
    ::delscreen(terminal);
}

Size Screen::size() const
{
    return {static_cast<std::size_t>(::getmaxy(::stdscr)),
            static_cast<std::size_t>(::getmaxx(::stdscr))};
}

void Screen::resize()
{
    winsize now{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 && now.ws_row > 0 && now.ws_col > 0)
        ::resizeterm(now.ws_row, now.ws_col);
}

void Screen::show(const std::vector<Line>& lines) const
{
    ::werase(::stdscr);
    for (int y = 0; const auto& line : lines) {
        ::wmove(::stdscr, y++, 0);
        for (const auto& piece : line) {
            ::wattrset(::stdscr, static_cast<int>(attributes_of(piece.style, colour_)));
            const auto text = has_triangles_ && piece.style == Style::sort_mark
                                  ? triangle(piece.text)
                                  : std::string_view{piece.text};
            ::waddnstr(::stdscr, text.data(), static_cast<int>(text.size()));
        }
    }
    ::wattrset(::stdscr, A_NORMAL);
    ::wrefresh(::stdscr);
}

std::optional<Pressed> Screen::key() const
{
    while (true) {
        const int c = ::wgetch(::stdscr);
        switch (c) {
        case ERR: return {};
        case KEY_UP: return Key::up;
        case KEY_DOWN: return Key::down;
        case KEY_PPAGE: return Key::page_up;
        case KEY_NPAGE: return Key::page_down;
        case KEY_HOME: return Key::home;
        case KEY_END: return Key::end;
        case KEY_LEFT:
        case '<': return Key::previous_column;
        case KEY_RIGHT:
        case '>': return Key::next_column;
        case control('R'): return Key::reverse;
        case ' ': return Key::pause;
        case KEY_BACKSPACE:
        case '\b':
        case '\x7f': return Key::erase;
        case '\r':
        case '\n':
        case KEY_ENTER: return Key::accept;
        case escape: return Key::clear;
        default: break;
        }
        if (c > ' ' && c < '\x7f')
            return static_cast<char>(c);
    }
}

} // namespace evfd::top
