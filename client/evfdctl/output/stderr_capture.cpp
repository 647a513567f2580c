#include "client/evfdctl/output/stderr_capture.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace evfd::top {

std::optional<StderrCapture> StderrCapture::begin()
{
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0)
        return {};
    UniqueFd read_end{ends[0]};
    const UniqueFd write_end{ends[1]};
    UniqueFd saved{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
    if (!saved || ::dup2(write_end.get(), STDERR_FILENO) < 0)
        return {};
    return StderrCapture{std::move(read_end), std::move(saved)};
}

StderrCapture::~StderrCapture()
{
    if (saved_stderr_)
        ::dup2(saved_stderr_.get(), STDERR_FILENO);
}

std::string StderrCapture::take_text()
{
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    while ((got = ::read(pipe_.get(), buffer.data(), buffer.size())) > 0)
        unread_.append(buffer.data(), static_cast<std::size_t>(got));
    return std::exchange(unread_, {});
}

std::optional<std::string> StderrCapture::last_line()
{
    auto text = take_text();
    const auto end = text.rfind('\n');
    if (end == std::string::npos) {
        unread_ = std::move(text);
        return {};
    }
    unread_ = text.substr(end + 1);
    text.resize(end);
    // If the text has only one line, rfind() returns npos, and npos + 1 is 0.
    auto line = text.substr(text.rfind('\n') + 1);
    std::erase(line, '\r'); // ssh writes carriage returns for a terminal in raw mode.
    return line;
}

} // namespace evfd::top
