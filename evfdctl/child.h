// A command that is run, with the signals that are to end us passed on to it.
#pragma once

#include "client/evfd/error.h"
#include "common/unique_fd.h"

#include <signal.h>

#include <optional>
#include <string>
#include <vector>

namespace evfd {

// SIGTERM, SIGINT and SIGHUP, kept back as long as it lives.
class StopSignals {
public:
    struct Signal {
        int number;
        bool is_of_terminal; // Then everybody in the foreground got it.
    };

    static Try<StopSignals> hold();
    StopSignals(StopSignals&&) noexcept = default;
    StopSignals& operator=(StopSignals&&) = delete;

    const UniqueFd& fd() const { return fd_; } // Readable when one came.
    std::optional<Signal> take() const;
    const sigset_t& others() const { return before_; } // What was kept back before.
    // Ends this process as the signal would have.
    [[noreturn]] static void die_of(int number);

private:
    StopSignals(UniqueFd fd, sigset_t before) : fd_{std::move(fd)}, before_{before} {}

    UniqueFd fd_;
    sigset_t before_;
};

struct Ended {
    int status;      // As a shell tells it: 126 or 127 if it was not started.
    std::string how; // The rest of a sentence that begins with the command.
    bool was_started = true;
    std::optional<int> stopped_by = {}; // The signal that came, and was passed on, meanwhile.
};

// To its end. `variables` are NAME=value, added to our own environment.
Ended run_command(const std::vector<std::string>& words, const std::vector<std::string>& variables,
                  const StopSignals& signals);

} // namespace evfd
