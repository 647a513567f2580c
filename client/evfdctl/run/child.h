// A command as a child process, and the signals that evfdctl forwards to it.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <signal.h>
#include <sys/types.h>

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace evfd {

// Blocks the signals by which others ask a process to end, and delivers them through a descriptor.
// Signals that the parent had ignored stay ignored.
class TerminationSignals {
public:
    struct Signal {
        int number;
        bool is_from_terminal; // The terminal sent it to the whole foreground group.
    };

    static Expected<TerminationSignals> block();
    TerminationSignals(TerminationSignals&&) noexcept = default;
    TerminationSignals& operator=(TerminationSignals&&) = delete;

    const UniqueFd& fd() const { return fd_; } // Polls readable when a signal came.
    std::optional<Signal> take_next() const;
    // Returns the number of a signal that asks evfdctl to end. SIGUSR1 and SIGUSR2 are consumed
    // without effect.
    std::optional<int> take_fatal() const;
    // The signal mask before block().
    const sigset_t& previous_mask() const { return previous_mask_; }
    // Ends this process by the default action of the signal.
    [[noreturn]] static void reraise(int number);

private:
    TerminationSignals(UniqueFd fd, sigset_t mask) : fd_{std::move(fd)}, previous_mask_{mask} {}

    UniqueFd fd_;
    sigset_t previous_mask_;
};

// A descriptor for a command.
struct InheritedFd {
    int fd;
    std::string name;
};

struct Command {
    std::vector<std::string> arguments;
    std::vector<std::string> variables = {}; // NAME=value, added to the environment of evfdctl.
    // Numbered from 3 on in the command, as sd_listen_fds_with_names(3) expects them.
    std::vector<InheritedFd> inherited_fds = {};
    bool leads_group = false; // Runs in a process group of its own; signals go to the whole group.
    // Called in the child before execve(2). It may end the child. No other thread may exist at
    // fork(2).
    std::function<void()> before_exec = {};
};

// Added to the number of the signal that killed a command, as a shell does.
inline constexpr int signal_status_base = 128;

struct CommandResult {
    int status; // Exit status as a shell reports it: 126 or 127 if the command was not started.
    std::string description; // The rest of a sentence that begins with the command.
    bool was_started = true;
    // The signal that evfdctl received and forwarded, and by which it has to end as well.
    std::optional<int> termination_signal = {};
};

// A running command. The owner must wait for its exit.
class Child {
public:
    // Starts a command, or returns why it could not be started. `signals` must outlive the Child.
    static std::expected<Child, CommandResult> start(const Command& command,
                                                     const TerminationSignals& signals);
    // Starts a command in two steps, for a command with before_exec. await_start() returns after
    // execve(2), or returns why it failed; the child is reaped then.
    static std::expected<Child, CommandResult> fork(const Command& command,
                                                    const TerminationSignals& signals);
    std::expected<void, CommandResult> await_start();

    const UniqueFd& fd() const { return fd_; } // Polls readable after the exit.
    bool has_exited() const;
    // Forwards a signal, if one came.
    void forward_signal();
    std::optional<int> termination_signal() const { return termination_signal_; }
    // Waits for the exit, and forwards signals meanwhile.
    CommandResult wait();
    // Sends SIGTERM, and SIGKILL if the command has not exited after `grace`. Then kills the rest
    // of its group.
    CommandResult terminate(nanoseconds grace);

private:
    Child(pid_t pid, UniqueFd fd, UniqueFd start_error_fd, bool leads_group,
          const TerminationSignals& signals)
        : pid_{pid}, fd_{std::move(fd)}, start_error_fd_{std::move(start_error_fd)},
          leads_group_{leads_group}, signals_{&signals}
    {
    }

    void send(int number) const;
    void await_exit(std::optional<MonotonicTime> deadline);
    CommandResult result() const;

    pid_t pid_;
    UniqueFd fd_;
    UniqueFd start_error_fd_; // Delivers the errno value of a failed start, or end of file.
    bool leads_group_;
    const TerminationSignals* signals_;
    std::optional<int> termination_signal_;
};

// Runs a command until its exit.
CommandResult run_command(const Command& command, const TerminationSignals& signals);

} // namespace evfd
