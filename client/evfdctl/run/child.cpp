#include "client/evfdctl/run/child.h"

#include "client/evfdctl/output/failure.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

extern char** environ;

namespace evfd {

namespace {

// The exit statuses with which a shell reports that a command could not be started or found.
constexpr int status_not_started = 126;
constexpr int status_not_found = 127;

constexpr int first_inherited_fd = 3; // The value of SD_LISTEN_FDS_START.

// Returns whether the signal asks a process to end. SIGUSR1 and SIGUSR2 do not ask a process to
// end: a command can use these two signals for a purpose of its own.
bool is_fatal(int number)
{
    return number != SIGUSR1 && number != SIGUSR2;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> all;
    for (auto& text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

std::vector<std::string> environment_with(std::vector<std::string> added)
{
    const auto count = added.size();
    const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    for (char** entry = environ; *entry; ++entry)
        if (std::none_of(added.begin(), added.begin() + static_cast<std::ptrdiff_t>(count),
                         [&](const auto& other) { return name_of(other) == name_of(*entry); }))
            added.emplace_back(*entry);
    return added;
}

// Writes each colon of a name as "%3A", because colons separate the names in $LISTEN_FDNAMES. A
// backslash before the colon would not do, because some programs do not understand a backslash in
// this variable. "%3A" is unambiguous, because no name contains a percent sign.
std::string listen_name(std::string_view name)
{
    std::string text;
    for (const char c : name)
        text += c == ':' ? std::string{"%3A"} : std::string{c};
    return text;
}

// Prepares before fork(2) everything that the child needs until execve(2). evfdctl can have other
// threads at fork(2), so the child must only make system calls. The function before_exec of a
// command is an exception: before_exec can do more, because a command with before_exec is started
// only while evfdctl has a single thread.
class Launch {
public:
    static std::expected<Launch, int> prepare(const Command& command, const sigset_t& mask);
    std::expected<pid_t, int> fork();
    UniqueFd take_start_error_fd() { return std::move(start_error_reader_); }

private:
    static constexpr std::string_view listen_pid_key = "LISTEN_PID=";
    static constexpr std::size_t pid_digits = 20;

    Launch(const Command& command, const sigset_t& mask);
    // Duplicates a descriptor to a number that is higher than the number of every descriptor that
    // the command inherits.
    std::expected<UniqueFd, int> duplicate(int fd) const;
    [[noreturn]] void exec_command();

    std::vector<std::string> argument_texts_;
    std::vector<std::string> environment_texts_;
    std::size_t inherited_count_;
    bool leads_group_;
    sigset_t mask_;
    std::function<void()> before_exec_;
    std::vector<UniqueFd> inherited_fds_;
    // The read end of a pipe. If the child cannot execute the command, the child writes errno to
    // the pipe. A successful execve(2) closes the pipe.
    UniqueFd start_error_reader_;
    UniqueFd start_error_writer_;
    std::vector<char*> arguments_;
    std::vector<char*> environment_;
    char* listen_pid_text_ = nullptr; // The value of LISTEN_PID. The child writes its pid there.
};

Launch::Launch(const Command& command, const sigset_t& mask)
    : argument_texts_{command.arguments}, inherited_count_{command.inherited_fds.size()},
      leads_group_{command.leads_group}, mask_{mask}, before_exec_{command.before_exec}
{
    auto variables = command.variables;
    if (inherited_count_ > 0) {
        std::string names;
        for (const auto& one : command.inherited_fds)
            names += (names.empty() ? "" : ":") + listen_name(one.name);
        variables.push_back(fmt::format("LISTEN_FDS={}", inherited_count_));
        variables.push_back("LISTEN_FDNAMES=" + names);
        variables.push_back(std::string{listen_pid_key} + std::string(pid_digits, '\0'));
    }
    environment_texts_ = environment_with(std::move(variables));
}

std::expected<UniqueFd, int> Launch::duplicate(int fd) const
{
    UniqueFd copy{
        ::fcntl(fd, F_DUPFD_CLOEXEC, first_inherited_fd + static_cast<int>(inherited_count_))};
    return copy ? std::expected<UniqueFd, int>{std::move(copy)} : std::unexpected(errno);
}

std::expected<Launch, int> Launch::prepare(const Command& command, const sigset_t& mask)
{
    Launch launch{command, mask};
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0)
        return std::unexpected(errno);
    launch.start_error_reader_ = UniqueFd{ends[0]};
    const UniqueFd writer{ends[1]};
    auto high = launch.duplicate(writer.get());
    if (!high)
        return std::unexpected(high.error());
    launch.start_error_writer_ = *std::move(high);
    for (const auto& one : command.inherited_fds) {
        auto copy = launch.duplicate(one.fd);
        if (!copy)
            return std::unexpected(copy.error());
        launch.inherited_fds_.push_back(*std::move(copy));
    }
    return launch;
}

// Returns the child's pid, or an errno value.
std::expected<pid_t, int> Launch::fork()
{
    arguments_ = pointers(argument_texts_);
    environment_ = pointers(environment_texts_);
    for (auto& variable : environment_texts_)
        if (variable.starts_with(listen_pid_key) && inherited_count_ > 0)
            listen_pid_text_ = variable.data() + listen_pid_key.size();
    const auto child = ::fork();
    if (child < 0)
        return std::unexpected(errno);
    if (child == 0)
        exec_command();
    start_error_writer_ = {};
    return child;
}

void Launch::exec_command()
{
    if (listen_pid_text_)
        std::to_chars(listen_pid_text_, listen_pid_text_ + pid_digits, ::getpid());
    bool is_ready = !leads_group_ || ::setpgid(0, 0) == 0;
    for (std::size_t i = 0; i < inherited_fds_.size(); ++i)
        is_ready = is_ready &&
                   ::dup2(inherited_fds_[i].get(), first_inherited_fd + static_cast<int>(i)) >= 0;
    is_ready = is_ready && ::sigprocmask(SIG_SETMASK, &mask_, nullptr) == 0;
    if (is_ready && before_exec_)
        before_exec_();
    if (is_ready)
        ::execvpe(arguments_.front(), arguments_.data(), environment_.data());
    const int error = errno;
    (void)!::write(start_error_writer_.get(), &error, sizeof error);
    ::_exit(status_not_started);
}

CommandResult reap(pid_t child)
{
    int status = 0;
    (void)TEMP_FAILURE_RETRY(::waitpid(child, &status, 0));
    if (WIFSIGNALED(status))
        return {signal_status_base + WTERMSIG(status),
                fmt::format("was killed by signal {}", WTERMSIG(status))};
    return {WEXITSTATUS(status), fmt::format("exited with status {}", WEXITSTATUS(status))};
}

std::unexpected<CommandResult> not_started(int error)
{
    return std::unexpected(CommandResult{
        error == ENOENT ? status_not_found : status_not_started,
        fmt::format("cannot be started: {}; {}", std::generic_category().message(error),
                    error == ENOENT ? "give its path, or see whether it is in $PATH"
                                    : "check its permissions and the limits of this process"),
        false});
}

} // namespace

// Does not block a signal that is ignored. If an ignored signal were blocked, signalfd(2) would
// deliver the signal.
Expected<TerminationSignals> TerminationSignals::block()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
        struct sigaction now{};
        if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, number);
    }
    ::signal(SIGCHLD, SIG_DFL); // If SIGCHLD were ignored, no exit status could be read.
    sigset_t before;
    if (::sigprocmask(SIG_BLOCK, &set, &before) < 0)
        return std::unexpected(system_call_error("sigprocmask(2)"));
    UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd)
        return std::unexpected(system_call_error("signalfd(2)"));
    return TerminationSignals{std::move(fd), before};
}

std::optional<TerminationSignals::Signal> TerminationSignals::take_next() const
{
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info)
        return {};
    return Signal{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
}

std::optional<int> TerminationSignals::take_fatal() const
{
    while (const auto signal = take_next())
        if (is_fatal(signal->number))
            return signal->number;
    return {};
}

void TerminationSignals::reraise(int number)
{
    ::signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    ::raise(number);
    ::sigprocmask(SIG_UNBLOCK, &one, nullptr);
    // Only PID 1 of a container reaches this line, because the default action of a signal does not
    // end PID 1.
    ::_exit(signal_status_base + number);
}

std::expected<Child, CommandResult> Child::fork(const Command& command,
                                                const TerminationSignals& signals)
{
    auto launch = Launch::prepare(command, signals.previous_mask());
    if (!launch)
        return not_started(launch.error());
    const auto pid = launch->fork();
    if (!pid)
        return not_started(pid.error());
    UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0))};
    if (!fd) { // Without a pidfd evfdctl could not wait for the child's exit.
        const int error = errno;
        ::kill(*pid, SIGKILL);
        reap(*pid);
        return not_started(error);
    }
    return Child{*pid, std::move(fd), launch->take_start_error_fd(), command.leads_group, signals};
}

std::expected<void, CommandResult> Child::await_start()
{
    int error = 0;
    const auto got = TEMP_FAILURE_RETRY(::read(start_error_fd_.get(), &error, sizeof error));
    if (got != sizeof error)
        return {};
    reap(pid_);
    return not_started(error);
}

std::expected<Child, CommandResult> Child::start(const Command& command,
                                                 const TerminationSignals& signals)
{
    auto child = fork(command, signals);
    if (!child)
        return child;
    if (auto started = child->await_start(); !started)
        return std::unexpected(std::move(started.error()));
    return child;
}

bool Child::has_exited() const
{
    pollfd polled{fd_.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) > 0;
}

void Child::send(int number) const
{
    ::kill(leads_group_ ? -pid_ : pid_, number);
}

// A terminal sends its signals to the foreground process group. A command in its own group does not
// get those signals from the terminal, so evfdctl forwards them.
void Child::forward_signal()
{
    const auto signal = signals_->take_next();
    if (!signal)
        return;
    if (is_fatal(signal->number))
        termination_signal_ = signal->number;
    if (!signal->is_from_terminal || leads_group_)
        send(signal->number);
}

CommandResult Child::terminate(nanoseconds grace)
{
    send(SIGTERM);
    await_exit(monotonic_deadline(grace));
    // The leader of the group is not reaped yet, so the kernel has not reused the group's number.
    if (leads_group_)
        send(SIGKILL);
    return result();
}

CommandResult Child::wait()
{
    await_exit({});
    return result();
}

// Waits until the child has exited, but does not reap the child. Kills the child at the deadline.
void Child::await_exit(std::optional<MonotonicTime> deadline)
{
    while (true) {
        std::array<pollfd, 2> polled{{{fd_.get(), POLLIN, 0}, {signals_->fd().get(), POLLIN, 0}}};
        const auto left = to_timespec(deadline ? time_until(*deadline) : nanoseconds{0});
        const int ready =
            ::ppoll(polled.data(), polled.size(), deadline ? &left : nullptr, nullptr);
        if (ready < 0)
            continue;
        if (ready == 0) {
            send(SIGKILL);
            deadline.reset();
            continue;
        }
        // forward_signal() is called even if the child has exited, to record a signal that arrived
        // just before the exit.
        forward_signal();
        if (polled[0].revents != 0)
            return;
    }
}

CommandResult Child::result() const
{
    auto ended = reap(pid_);
    ended.termination_signal = termination_signal_;
    return ended;
}

CommandResult run_command(const Command& command, const TerminationSignals& signals)
{
    auto child = Child::start(command, signals);
    return child ? child->wait() : child.error();
}

} // namespace evfd
