// A command that is run, with the signals that come for it passed on to it.
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

// The signals that end a process, as long as it lives: those are kept back that it can be sent by
// others, but for those that whoever started us has us ignore.
class TerminationSignals {
public:
    struct Signal {
        int number;
        bool is_from_terminal; // Then everybody in the foreground got it.
    };

    static Expected<TerminationSignals> block();
    TerminationSignals(TerminationSignals&&) noexcept = default;
    TerminationSignals& operator=(TerminationSignals&&) = delete;

    const UniqueFd& fd() const { return fd_; } // Readable when one came.
    std::optional<Signal> take_next() const;
    // The number of one that is to end us. One by which people talk to a command is taken, and
    // finds none here.
    std::optional<int> take_fatal() const;
    const sigset_t& previous_mask() const { return previous_mask_; } // What was kept back before.
    // Ends this process as the signal would have.
    [[noreturn]] static void reraise(int number);

private:
    TerminationSignals(UniqueFd fd, sigset_t before) : fd_{std::move(fd)}, previous_mask_{before} {}

    UniqueFd fd_;
    sigset_t previous_mask_;
};

// A descriptor that a command is to have.
struct InheritedFd {
    int fd;
    std::string name;
};

struct Command {
    std::vector<std::string> arguments;
    std::vector<std::string> variables = {}; // NAME=value, added to our own environment.
    std::vector<InheritedFd> inherited_fds =
        {};                   // From 3 on, as sd_listen_fds_with_names(3) has them.
    bool leads_group = false; // Of processes; a signal then goes to all of them.
    // What the child does first, as the process that becomes the command. It may end it. We have no
    // other thread then.
    std::function<void()> before_exec = {};
};

// As a shell tells it: with the number of the signal that killed it added.
inline constexpr int signal_status_base = 128;

struct CommandResult {
    int status;              // As a shell tells it: 126 or 127 if it was not started.
    std::string description; // The rest of a sentence that begins with the command.
    bool was_started = true;
    // The signal that came, and was passed on, meanwhile, and that is to end us as well.
    std::optional<int> termination_signal = {};
};

// A command that runs. Whoever has it is to wait for its end.
class Child {
public:
    // Or how it could not be started. The signals must outlive it.
    static std::expected<Child, CommandResult> start(const Command& command,
                                                     const TerminationSignals& signals);
    // The same in two steps, for a command for which something is to be done first: await_start()
    // returns when it is the command, or could not be started. It was reaped then.
    static std::expected<Child, CommandResult> fork(const Command& command,
                                                    const TerminationSignals& signals);
    std::expected<void, CommandResult> await_start();

    const UniqueFd& fd() const { return fd_; } // Readable once it ended.
    bool has_exited() const;
    // If a signal came: it is passed on.
    void forward_signal();
    std::optional<int> termination_signal() const { return termination_signal_; }
    // To its end; signals are passed on.
    CommandResult wait();
    // The same, but it is ended, by SIGTERM, and by SIGKILL if it is still there after so long.
    // What is left of its group then is killed.
    CommandResult terminate(nanoseconds grace);

private:
    Child(pid_t pid, UniqueFd fd, UniqueFd start_error_fd, bool leads_group,
          const TerminationSignals& signals)
        : pid_{pid}, fd_{std::move(fd)}, start_error_fd_{std::move(start_error_fd)},
          leads_group_{leads_group}, signals_{&signals}
    {
    }

    void send(int number) const;
    void await_exit(std::optional<MonotonicTime> patience);
    CommandResult result() const;

    pid_t pid_;
    UniqueFd fd_;
    UniqueFd start_error_fd_; // Of how the start failed; at its end once it did not.
    bool leads_group_;
    const TerminationSignals* signals_;
    std::optional<int> termination_signal_;
};

// To its end.
CommandResult run_command(const Command& command, const TerminationSignals& signals);

} // namespace evfd
