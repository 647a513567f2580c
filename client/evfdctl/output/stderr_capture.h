// Redirects standard error into a pipe while `evfdctl top` draws on the screen, which messages of
// ssh would garble.
#pragma once

#include "common/unique_fd.h"

#include <optional>
#include <string>
#include <utility>

namespace evfd::top {

class StderrCapture {
public:
    // Returns nothing, and changes nothing, if the process has no free descriptors.
    static std::optional<StderrCapture> begin();
    StderrCapture(StderrCapture&&) noexcept = default;
    StderrCapture& operator=(StderrCapture&&) = delete;
    ~StderrCapture(); // Restores standard error.

    int fd() const { return pipe_.get(); } // Polls readable when text was written.
    // Returns the last complete line since the previous call, if there is one.
    std::optional<std::string> last_line();
    // Returns all text since the previous call.
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
