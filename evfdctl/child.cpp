#include "evfdctl/child.h"

#include "common/result.h"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <expected>
#include <string_view>
#include <system_error>

extern char** environ;

namespace evfd {

namespace {

// What a shell tells.
constexpr int status_not_started = 126;
constexpr int status_not_found = 127;
constexpr int status_of_signal = 128;

Error failed(const char* call)
{
    return {ErrorCode::system, Fault::last(call).message()};
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> all;
    for (auto& text : texts)
        all.push_back(text.data());
    all.push_back(nullptr);
    return all;
}

std::vector<std::string> environment_with(const std::vector<std::string>& added)
{
    auto all = added;
    const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    for (char** entry = environ; *entry; ++entry)
        if (std::ranges::none_of(
                added, [&](const auto& other) { return name_of(other) == name_of(*entry); }))
            all.emplace_back(*entry);
    return all;
}

// An errno value where it cannot be started.
std::expected<pid_t, int> spawn(std::vector<std::string> words, std::vector<std::string> variables,
                                const sigset_t& mask)
{
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setsigmask(&attributes, &mask);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    const auto arguments = pointers(words);
    const auto environment = pointers(variables);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, arguments.front(), nullptr, &attributes,
                                     arguments.data(), environment.data());
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0)
        return std::unexpected(error);
    return child;
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

Ended not_started(int error)
{
    return {error == ENOENT ? status_not_found : status_not_started,
            fmt::format("cannot be started: {}", std::generic_category().message(error)), false};
}

} // namespace

Try<StopSignals> StopSignals::hold()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP})
        sigaddset(&set, number);
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

Ended run_command(const std::vector<std::string>& words, const std::vector<std::string>& variables,
                  const StopSignals& signals)
{
    const auto child = spawn(words, environment_with(variables), signals.others());
    if (!child)
        return not_started(child.error());
    const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, *child, 0))};
    std::optional<int> stopped_by;
    while (pidfd) { // Without a descriptor for it, signals wait until it ended.
        std::array<pollfd, 2> wanted{{{pidfd.get(), POLLIN, 0}, {signals.fd().get(), POLLIN, 0}}};
        if (::poll(wanted.data(), wanted.size(), -1) < 0)
            continue;
        if (wanted[0].revents != 0)
            break;
        const auto signal = signals.take();
        if (!signal)
            continue;
        stopped_by = signal->number;
        if (!signal->is_of_terminal)
            ::kill(*child, signal->number);
    }
    auto ended = reap(*child);
    ended.stopped_by = stopped_by;
    return ended;
}

} // namespace evfd
