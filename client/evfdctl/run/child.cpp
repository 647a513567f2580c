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

// What a shell tells.
constexpr int status_not_started = 126;
constexpr int status_not_found = 127;

constexpr int first_passed = 3; // SD_LISTEN_FDS_START

// Those by which people talk to a process do not say that it is to end.
bool is_to_end(int number)
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

// The names' separator cannot be in one, and a backslash is understood by some readers only; names
// of ours have no percent sign.
std::string listen_name(std::string_view name)
{
    std::string text;
    for (const char c : name)
        text += c == ':' ? std::string{"%3A"} : std::string{c};
    return text;
}

// All that the child needs between fork(2) and execve(2): there may be other threads here, so it
// can do no more then than make system calls, but for what its command has it do first.
class Launch {
public:
    static std::expected<Launch, int> prepare(const Command& command, const sigset_t& mask);
    std::expected<pid_t, int> fork();
    UniqueFd take_told() { return std::move(told_); }

private:
    static constexpr std::string_view listen_pid_key = "LISTEN_PID=";
    static constexpr std::size_t pid_digits = 20;

    Launch(const Command& command, const sigset_t& mask);
    // Out of the way of the numbers that are to be the passed ones'.
    std::expected<UniqueFd, int> duplicate(int fd) const;
    [[noreturn]] void become();

    std::vector<std::string> words_;
    std::vector<std::string> variables_;
    std::size_t passed_;
    bool leads_group_;
    sigset_t mask_;
    std::function<void()> first_;
    std::vector<UniqueFd> descriptors_;
    UniqueFd told_; // Of how the start failed; closed by one that did not.
    UniqueFd telling_;
    std::vector<char*> arguments_;
    std::vector<char*> environment_;
    char* own_pid_ = nullptr; // Where it is to be written.
};

Launch::Launch(const Command& command, const sigset_t& mask)
    : words_{command.words}, passed_{command.passed.size()}, leads_group_{command.leads_group},
      mask_{mask}, first_{command.first}
{
    auto variables = command.variables;
    if (passed_ > 0) {
        std::string names;
        for (const auto& one : command.passed)
            names += (names.empty() ? "" : ":") + listen_name(one.name);
        variables.push_back(fmt::format("LISTEN_FDS={}", passed_));
        variables.push_back("LISTEN_FDNAMES=" + names);
        variables.push_back(std::string{listen_pid_key} + std::string(pid_digits, '\0'));
    }
    variables_ = environment_with(std::move(variables));
}

std::expected<UniqueFd, int> Launch::duplicate(int fd) const
{
    UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, first_passed + static_cast<int>(passed_))};
    return copy ? std::expected<UniqueFd, int>{std::move(copy)} : std::unexpected(errno);
}

std::expected<Launch, int> Launch::prepare(const Command& command, const sigset_t& mask)
{
    Launch launch{command, mask};
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0)
        return std::unexpected(errno);
    launch.told_ = UniqueFd{ends[0]};
    const UniqueFd telling{ends[1]};
    auto high = launch.duplicate(telling.get());
    if (!high)
        return std::unexpected(high.error());
    launch.telling_ = *std::move(high);
    for (const auto& one : command.passed) {
        auto copy = launch.duplicate(one.fd);
        if (!copy)
            return std::unexpected(copy.error());
        launch.descriptors_.push_back(*std::move(copy));
    }
    return launch;
}

// An errno value if it could not be started.
std::expected<pid_t, int> Launch::fork()
{
    arguments_ = pointers(words_);
    environment_ = pointers(variables_);
    for (auto& variable : variables_)
        if (variable.starts_with(listen_pid_key) && passed_ > 0)
            own_pid_ = variable.data() + listen_pid_key.size();
    const auto child = ::fork();
    if (child < 0)
        return std::unexpected(errno);
    if (child == 0)
        become();
    telling_ = {};
    return child;
}

void Launch::become()
{
    if (own_pid_)
        std::to_chars(own_pid_, own_pid_ + pid_digits, ::getpid());
    bool is_ready = !leads_group_ || ::setpgid(0, 0) == 0;
    for (std::size_t i = 0; i < descriptors_.size(); ++i)
        is_ready =
            is_ready && ::dup2(descriptors_[i].get(), first_passed + static_cast<int>(i)) >= 0;
    is_ready = is_ready && ::sigprocmask(SIG_SETMASK, &mask_, nullptr) == 0;
    if (is_ready && first_)
        first_();
    if (is_ready)
        ::execvpe(arguments_.front(), arguments_.data(), environment_.data());
    const int error = errno;
    (void)!::write(telling_.get(), &error, sizeof error);
    ::_exit(status_not_started);
}

Ended reap(pid_t child)
{
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status))
        return {status_of_signal + WTERMSIG(status),
                fmt::format("was killed by signal {}", WTERMSIG(status))};
    return {WEXITSTATUS(status), fmt::format("ended with status {}", WEXITSTATUS(status))};
}

std::unexpected<Ended> not_started(int error)
{
    return std::unexpected(
        Ended{error == ENOENT ? status_not_found : status_not_started,
              fmt::format("cannot be started: {}; {}", std::generic_category().message(error),
                          error == ENOENT ? "give its path, or see whether it is in $PATH"
                                          : "see whether it may be run, and what limits there are"),
              false});
}

} // namespace

// One that is ignored would come through the descriptor all the same.
Try<StopSignals> StopSignals::hold()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
        struct sigaction now{};
        if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaddset(&set, number);
    }
    ::signal(SIGCHLD, SIG_DFL); // Whoever ignores it hears nothing of how a child ended.
    sigset_t before;
    if (::sigprocmask(SIG_BLOCK, &set, &before) < 0)
        return std::unexpected(failed("sigprocmask(2)"));
    UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd)
        return std::unexpected(failed("signalfd(2)"));
    return StopSignals{std::move(fd), before};
}

std::optional<StopSignals::Signal> StopSignals::take() const
{
    signalfd_siginfo came{};
    if (::read(fd_.get(), &came, sizeof came) != sizeof came)
        return {};
    return Signal{static_cast<int>(came.ssi_signo), came.ssi_code == SI_KERNEL};
}

std::optional<int> StopSignals::take_end() const
{
    while (const auto signal = take())
        if (is_to_end(signal->number))
            return signal->number;
    return {};
}

void StopSignals::die_of(int number)
{
    ::signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    ::raise(number);
    ::sigprocmask(SIG_UNBLOCK, &one, nullptr);
    ::_exit(status_of_signal + number); // PID 1 of a container gets here.
}

std::expected<Child, Ended> Child::fork(const Command& command, const StopSignals& signals)
{
    auto launch = Launch::prepare(command, signals.others());
    if (!launch)
        return not_started(launch.error());
    const auto pid = launch->fork();
    if (!pid)
        return not_started(pid.error());
    UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0))};
    if (!fd) { // We would not hear of its end.
        const int error = errno;
        ::kill(*pid, SIGKILL);
        reap(*pid);
        return not_started(error);
    }
    return Child{*pid, std::move(fd), launch->take_told(), command.leads_group, signals};
}

std::expected<void, Ended> Child::await_start()
{
    int error = 0;
    ssize_t got = 0;
    while ((got = ::read(told_.get(), &error, sizeof error)) < 0 && errno == EINTR) {
    }
    if (got != sizeof error)
        return {};
    reap(pid_);
    return not_started(error);
}

std::expected<Child, Ended> Child::start(const Command& command, const StopSignals& signals)
{
    auto child = fork(command, signals);
    if (!child)
        return child;
    if (auto started = child->await_start(); !started)
        return std::unexpected(std::move(started.error()));
    return child;
}

bool Child::has_ended() const
{
    pollfd asked{fd_.get(), POLLIN, 0};
    return ::poll(&asked, 1, 0) > 0;
}

void Child::send(int number) const
{
    ::kill(leads_group_ ? -pid_ : pid_, number);
}

// A group of its own is not in the foreground, whatever the terminal sends.
void Child::pass_on_signal()
{
    const auto signal = signals_->take();
    if (!signal)
        return;
    if (is_to_end(signal->number))
        stopped_by_ = signal->number;
    if (!signal->is_of_terminal || leads_group_)
        send(signal->number);
}

Ended Child::end(nanoseconds grace)
{
    send(SIGTERM);
    await_end(monotonic_after(grace));
    if (leads_group_) // Which is there, and nobody else's, as long as its leader is not reaped.
        send(SIGKILL);
    return result();
}

Ended Child::wait()
{
    await_end({});
    return result();
}

// It has ended, and was not reaped.
void Child::await_end(std::optional<MonotonicTime> patience)
{
    while (true) {
        std::array<pollfd, 2> wanted{{{fd_.get(), POLLIN, 0}, {signals_->fd().get(), POLLIN, 0}}};
        const auto left = to_timespec(patience ? left_until(*patience) : nanoseconds{0});
        const int ready =
            ::ppoll(wanted.data(), wanted.size(), patience ? &left : nullptr, nullptr);
        if (ready < 0)
            continue;
        if (ready == 0) {
            send(SIGKILL);
            patience.reset();
            continue;
        }
        pass_on_signal(); // Also one that came just before the end.
        if (wanted[0].revents != 0)
            return;
    }
}

Ended Child::result() const
{
    auto ended = reap(pid_);
    ended.stopped_by = stopped_by_;
    return ended;
}

Ended run_command(const Command& command, const StopSignals& signals)
{
    auto child = Child::start(command, signals);
    return child ? child->wait() : child.error();
}

} // namespace evfd
