// Standard error while the screen is ours: what ssh says there would spoil it, so it goes into a
// pipe.
#pragma once

#include "common/unique_fd.h"

#include <optional>
#include <string>
#include <utility>

namespace evfd::top {

class StderrAside {
public:
    // Nothing if there are no descriptors for it: then all stays as it is.
    static std::optional<StderrAside> begin();
    StderrAside(StderrAside&&) noexcept = default;
    StderrAside& operator=(StderrAside&&) = delete;
    ~StderrAside(); // Then it is as it was.

    int fd() const { return pipe_.get(); } // Readable when something was said.
    // The last whole line of what was said since the last call, if there is one.
    std::optional<std::string> last_line();
    // All of it since then.
    std::string take();

private:
    StderrAside(UniqueFd pipe, UniqueFd before) : pipe_{std::move(pipe)}, before_{std::move(before)}
    {
    }

    UniqueFd pipe_;
    UniqueFd before_;
    std::string unread_;
};

} // namespace evfd::top
