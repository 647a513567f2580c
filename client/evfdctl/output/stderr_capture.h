// Standard error while the screen is ours: what ssh says there would spoil it, so it goes into a
// pipe.
#pragma once

#include "common/unique_fd.h"

#include <optional>
#include <string>
#include <utility>

namespace evfd::top {

class StderrCapture {
public:
    // Nothing if there are no descriptors for it: then all stays as it is.
    static std::optional<StderrCapture> begin();
    StderrCapture(StderrCapture&&) noexcept = default;
    StderrCapture& operator=(StderrCapture&&) = delete;
    ~StderrCapture(); // Then it is as it was.

    int fd() const { return pipe_.get(); } // Readable when something was said.
    // The last whole line of what was said since the last call, if there is one.
    std::optional<std::string> last_line();
    // All of it since then.
    std::string take_text();

private:
    StderrCapture(UniqueFd pipe, UniqueFd saved_stderr)
        : pipe_{std::move(pipe)}, saved_stderr_{std::move(saved_stderr)}
    {
    }

    UniqueFd pipe_;
    UniqueFd saved_stderr_;
    std::string unread_;
};

} // namespace evfd::top
