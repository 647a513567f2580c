#include "tests/support/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>

namespace evfd::e2e {

namespace {

const VTermScreenCallbacks callbacks_with(int (*on_property)(VTermProp, VTermValue*, void*))
{
    VTermScreenCallbacks all{};
    all.settermprop = on_property;
    return all;
}

} // namespace

Terminal::Terminal(Command command, int lines, int columns)
    : lines_{lines}, columns_{columns}, vterm_{::vterm_new(lines, columns)},
      screen_{::vterm_obtain_screen(vterm_.get())},
      ptm_{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)}
{
    static const auto callbacks = callbacks_with(&on_property);
    ::vterm_set_utf8(vterm_.get(), 1);
    ::vterm_screen_set_callbacks(screen_, &callbacks, this);
    ::vterm_screen_enable_altscreen(screen_, 1);
    ::vterm_screen_reset(screen_, 1);
    if (!ptm_ || ::grantpt(ptm_.get()) < 0 || ::unlockpt(ptm_.get()) < 0)
        fail("posix_openpt(3)");
    pts_ = UniqueFd{::open(::ptsname(ptm_.get()), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (!pts_ || ::tcgetattr(pts_.get(), &before_) < 0)
        fail("a pty");
    resize(lines, columns);
    if (std::ranges::none_of(command.environment,
                             [](const auto& one) { return one.starts_with("TERM="); }))
        command.environment.emplace_back("TERM=screen-256color");
    command.in_child = [this] {
        ::setsid();
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        ::ioctl(pts_.get(), TIOCSCTTY, 0);
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            ::dup2(pts_.get(), fd);
    };
    process_.emplace(start(command));
}

int Terminal::on_property(VTermProp property, VTermValue* value, void* self)
{
    auto& terminal = *static_cast<Terminal*>(self);
    if (property == VTERM_PROP_ALTSCREEN)
        terminal.is_other_screen_ = value->boolean != 0;
    if (property == VTERM_PROP_CURSORVISIBLE)
        terminal.has_cursor_ = value->boolean != 0;
    return 1;
}

void Terminal::type(std::string_view keys) const
{
    require(::write(ptm_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()),
            "the terminal takes no keys");
}

void Terminal::resize(int lines, int columns)
{
    lines_ = lines;
    columns_ = columns;
    ::vterm_set_size(vterm_.get(), lines, columns);
    const winsize size{static_cast<unsigned short>(lines), static_cast<unsigned short>(columns), 0,
                       0};
    if (::ioctl(ptm_.get(), TIOCSWINSZ, &size) < 0)
        fail("TIOCSWINSZ");
}

// Reads the output that is available. Returns false if no output is available.
bool Terminal::read()
{
    std::array<char, 4096> buffer;
    const auto got = ::read(ptm_.get(), buffer.data(), buffer.size());
    if (got <= 0)
        return false;
    ::vterm_input_write(vterm_.get(), buffer.data(), static_cast<std::size_t>(got));
    return true;
}

void Terminal::await(const std::function<bool()>& condition)
{
    while (read()) {
    }
    while (!condition()) {
        errno = 0;
        if (!await_readable(ptm_.get()))
            fail("the terminal still shows:\n" + text());
        read();
    }
}

std::string Terminal::line(int number) const
{
    std::string text(static_cast<std::size_t>(columns_) * 4, '\0');
    const VTermRect rectangle{
        .start_row = number, .end_row = number + 1, .start_col = 0, .end_col = columns_};
    text.resize(::vterm_screen_get_text(screen_, text.data(), text.size(), rectangle));
    while (text.ends_with(' ') || text.ends_with('\n'))
        text.pop_back();
    return text;
}

std::string Terminal::text() const
{
    std::string all;
    for (int i = 0; i < lines_; ++i)
        all += line(i) + '\n';
    return all;
}

bool Terminal::shows(std::string_view wanted) const
{
    return text().contains(wanted);
}

std::string Terminal::line_of(std::string_view word) const
{
    for (int i = 0; i < lines_; ++i)
        if (const auto whole = line(i); (whole + ' ').starts_with(std::string{word} + ' '))
            return whole;
    return {};
}

std::vector<std::string> Terminal::words(int first, int count) const
{
    std::vector<std::string> all;
    for (int i = first; i < first + count; ++i) {
        std::istringstream words{line(i)};
        words >> all.emplace_back();
    }
    return all;
}

bool Terminal::is_coloured(std::string_view wanted, int offset) const
{
    for (int i = 0; i < lines_; ++i) {
        const auto at = line(i).find(wanted);
        if (at == std::string::npos)
            continue;
        VTermScreenCell cell{};
        ::vterm_screen_get_cell(screen_, {.row = i, .col = static_cast<int>(at) + offset}, &cell);
        return !VTERM_COLOR_IS_DEFAULT_FG(&cell.fg);
    }
    errno = 0;
    fail("the terminal does not show '" + std::string{wanted} + "' but:\n" + text());
}

Status Terminal::wait()
{
    // Reads output during the wait, because the program blocks while the terminal's buffer is full.
    require(poll_until([&] {
                read();
                return await_readable(process_->pidfd().get(), 1ms);
            }),
            "the program in the terminal does not end");
    while (read()) {
    }
    return process_->wait();
}

bool Terminal::is_restored() const
{
    termios now{};
    require(::tcgetattr(pts_.get(), &now) == 0, "tcgetattr(3)");
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag &&
           now.c_oflag == before_.c_oflag && has_cursor_ && !is_other_screen_;
}

} // namespace evfd::e2e
