#include "client/evfdctl/output/stderr_capture.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace evfd::top {

std::optional<StderrAside> StderrAside::begin()
{
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0)
        return {};
    UniqueFd ours{ends[0]};
    const UniqueFd its{ends[1]};
    UniqueFd before{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
    if (!before || ::dup2(its.get(), STDERR_FILENO) < 0)
        return {};
    return StderrAside{std::move(ours), std::move(before)};
}

StderrAside::~StderrAside()
{
    if (before_)
        ::dup2(before_.get(), STDERR_FILENO);
}

std::string StderrAside::take()
{
    std::array<char, 4096> buffer;
    ssize_t got = 0;
    while ((got = ::read(pipe_.get(), buffer.data(), buffer.size())) > 0)
        unread_.append(buffer.data(), static_cast<std::size_t>(got));
    return std::exchange(unread_, {});
}

std::optional<std::string> StderrAside::last_line()
{
    auto text = take();
    const auto end = text.rfind('\n');
    if (end == std::string::npos) {
        unread_ = std::move(text);
        return {};
    }
    unread_ = text.substr(end + 1);
    text.resize(end);
    auto line = text.substr(text.rfind('\n') + 1); // All of it, if there is no other.
    std::erase(line, '\r');                        // Of ssh, for a terminal in raw mode.
    return line;
}

} // namespace evfd::top
