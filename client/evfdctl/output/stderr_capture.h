// Redirects standard error into a pipe while `evfdctl top` draws on the screen, because messages of
// ssh would garble the screen.
#pragma once

#include "common/unique_fd.h"

#include <optional>
#include <string>
#include <utility>

namespace evfd::top {

class StderrCapture {
public:
    // Redirects standard error. If the process has no free descriptor, returns nothing and leaves
    // standard error as it is.
    static std::optional<StderrCapture> begin();
    StderrCapture(StderrCapture&&) noexcept = default;
    StderrCapture& operator=(StderrCapture&&) = delete;
    ~StderrCapture(); // Restores standard error.

    // Returns a descriptor that polls readable when text was written to standard error.
    int fd() const { return pipe_.get(); }
    // Returns the last complete line that was written since the previous call, if there is one.
    std::optional<std::string> last_line();
    // Returns all text that was written since the previous call.
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
