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

// Blocks SIGUSR1, SIGUSR2 and the signals that ask a process to end. Delivers the blocked signals
// through a descriptor. A signal that the parent of evfdctl had set to be ignored stays ignored.
class TerminationSignals {
public:
    struct Signal {
        int number;
        // Whether the terminal sent the signal. A terminal sends a signal to the whole foreground
        // process group.
        bool is_from_terminal;
    };

    static Expected<TerminationSignals> block();
    TerminationSignals(TerminationSignals&&) noexcept = default;
    TerminationSignals& operator=(TerminationSignals&&) = delete;

    // Returns a descriptor that polls readable when a signal is pending.
    const UniqueFd& fd() const { return fd_; }
    std::optional<Signal> take_next() const;
    // Returns the number of a pending signal that asks evfdctl to end, if there is one. Discards
    // pending SIGUSR1 and SIGUSR2.
    std::optional<int> take_fatal() const;
    // Returns the signal mask that was in effect before block().
    const sigset_t& previous_mask() const { return previous_mask_; }
    // Ends this process by the default action of the signal.
    [[noreturn]] static void reraise(int number);

private:
    TerminationSignals(UniqueFd fd, sigset_t mask) : fd_{std::move(fd)}, previous_mask_{mask} {}

    UniqueFd fd_;
    sigset_t previous_mask_;
};

// A descriptor that a command inherits, and its name for $LISTEN_FDNAMES.
struct InheritedFd {
    int fd;
    std::string name;
};

struct Command {
    std::vector<std::string> arguments;
    // Strings of the form NAME=value. The command gets these variables in addition to the
    // environment of evfdctl.
    std::vector<std::string> variables = {};
    // The command gets these descriptors as the numbers 3, 4 and so on, as
    // sd_listen_fds_with_names(3) expects.
    std::vector<InheritedFd> inherited_fds = {};
    // Whether the command runs in its own process group. All signals are sent to that whole group.
    bool leads_group = false;
    // Called in the child before execve(2). This function is allowed to end the child. If
    // before_exec is set, evfdctl must have only one thread at fork(2).
    std::function<void()> before_exec = {};
};

// If a signal killed a command, the exit status of the command is this number plus the number of
// the signal, as in a shell.
inline constexpr int signal_status_base = 128;

struct CommandResult {
    // The exit status as a shell reports it: 126 or 127 if the command could not be started.
    int status;
    // The sentence about the command, without the subject: "exited with status 1".
    std::string description;
    bool was_started = true;
    // The last signal that asked evfdctl to end while the command ran. After the command, evfdctl
    // must kill itself by this signal.
    std::optional<int> termination_signal = {};
};

// A running command. The owner must call wait() or terminate().
class Child {
public:
    // Starts a command, or returns why it could not be started. `signals` must outlive the Child.
    static std::expected<Child, CommandResult> start(const Command& command,
                                                     const TerminationSignals& signals);
    // Forks a child. Returns before the child's execve(2), so that evfdctl can exchange messages
    // with the function before_exec in the child. `signals` must outlive the Child.
    static std::expected<Child, CommandResult> fork(const Command& command,
                                                    const TerminationSignals& signals);
    // Waits for the child's execve(2). If execve(2) fails, reaps the child and returns why.
    std::expected<void, CommandResult> await_start();

    // Returns a descriptor that polls readable after the command's exit.
    const UniqueFd& fd() const { return fd_; }
    bool has_exited() const;
    // Forwards the next pending signal to the command, if there is one.
    void forward_signal();
    std::optional<int> termination_signal() const { return termination_signal_; }
    // Waits for the command's exit, and forwards signals meanwhile.
    CommandResult wait();
    // Sends SIGTERM. If the command has not exited after `grace`, sends SIGKILL. If the command
    // leads a process group, kills the remaining processes of that group after the exit.
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
    // The read end of a pipe. If the child cannot execute the command, the child writes errno to
    // the pipe. A successful execve(2) closes the pipe.
    UniqueFd start_error_fd_;
    bool leads_group_;
    const TerminationSignals* signals_;
    std::optional<int> termination_signal_;
};

CommandResult run_command(const Command& command, const TerminationSignals& signals);

} // namespace evfd
