// A command that is run, with the signals that come for it passed on to it.
#pragma once

#include "evfd/error.h"
#include "common/clock.h"
#include "common/unique_fd.h"

#include <signal.h>
#include <sys/types.h>

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace evfd {

// The signals that end a process, as long as it lives: those are kept back that it can be sent by
// others, but for those that whoever started us has us ignore.
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
    // The number of one that is to end us. One by which people talk to a command is taken, and
    // finds none here.
    std::optional<int> take_end() const;
    const sigset_t& others() const { return before_; } // What was kept back before.
    // Ends this process as the signal would have.
    [[noreturn]] static void die_of(int number);

private:
    StopSignals(UniqueFd fd, sigset_t before) : fd_{std::move(fd)}, before_{before} {}

    UniqueFd fd_;
    sigset_t before_;
};

// A descriptor that a command is to have.
struct Passed {
    int fd;
    std::string name;
};

struct Command {
    std::vector<std::string> words;
    std::vector<std::string> variables = {}; // NAME=value, added to our own environment.
    std::vector<Passed> passed = {};         // From 3 on, as sd_listen_fds_with_names(3) has them.
    bool leads_group = false;                // Of processes; a signal then goes to all of them.
    // What the child does first, as the process that becomes the command. It may end it. We have no
    // other thread then.
    std::function<void()> first = {};
};

// As a shell tells it: with the number of the signal that killed it added.
inline constexpr int status_of_signal = 128;

struct Ended {
    int status;      // As a shell tells it: 126 or 127 if it was not started.
    std::string how; // The rest of a sentence that begins with the command.
    bool was_started = true;
    // The signal that came, and was passed on, meanwhile, and that is to end us as well.
    std::optional<int> stopped_by = {};
};

// A command that runs. Whoever has it is to wait for its end.
class Child {
public:
    // Or how it could not be started. The signals must outlive it.
    static std::expected<Child, Ended> start(const Command& command, const StopSignals& signals);
    // The same in two steps, for a command for which something is to be done first: await_start()
    // returns when it is the command, or could not be started. It was reaped then.
    static std::expected<Child, Ended> fork(const Command& command, const StopSignals& signals);
    std::expected<void, Ended> await_start();

    const UniqueFd& fd() const { return fd_; } // Readable once it ended.
    bool has_ended() const;
    // If a signal came: it is passed on.
    void pass_on_signal();
    std::optional<int> stopped_by() const { return stopped_by_; }
    // To its end; signals are passed on.
    Ended wait();
    // The same, but it is ended, by SIGTERM, and by SIGKILL if it is still there after so long.
    // What is left of its group then is killed.
    Ended end(nanoseconds grace);

private:
    Child(pid_t pid, UniqueFd fd, UniqueFd told, bool leads_group, const StopSignals& signals)
        : pid_{pid}, fd_{std::move(fd)}, told_{std::move(told)}, leads_group_{leads_group},
          signals_{&signals}
    {
    }

    void send(int number) const;
    void await_end(std::optional<MonotonicTime> patience);
    Ended result() const;

    pid_t pid_;
    UniqueFd fd_;
    UniqueFd told_; // Of how the start failed; at its end once it did not.
    bool leads_group_;
    const StopSignals* signals_;
    std::optional<int> stopped_by_;
};

// To its end.
Ended run_command(const Command& command, const StopSignals& signals);

} // namespace evfd
