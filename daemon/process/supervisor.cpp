#include "daemon/process/supervisor.h"

#include "common/socket.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string_view>
#include <system_error>

namespace evfd::daemon {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_kept = 64;
constexpr std::size_t max_notice_bytes = 4096;
constexpr nanoseconds longest_pause = 1s; // Before a daemon that keeps dying is started again.

[[noreturn]] void fail(const char* what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

// Whole messages, and that the other end was closed is seen on each.
std::pair<UniqueFd, UniqueFd> make_notice_sockets()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) < 0)
        return {};
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

UniqueFd make_signals()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP})
        sigaddset(&set, signal);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0)
        fail("sigprocmask(2)");
    UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (!fd)
        fail("signalfd(2)");
    return fd;
}

struct Notice {
    std::string text;
    std::deque<UniqueFd> fds;

    bool says(std::string_view line) const
    {
        std::string_view rest{text};
        while (!rest.empty()) {
            const auto end = rest.find('\n');
            if (rest.substr(0, end) == line)
                return true;
            rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        }
        return false;
    }
    std::string value_of(std::string_view key) const
    {
        const auto at = ("\n" + text).find("\n" + std::string{key} + "=");
        if (at == std::string::npos)
            return {};
        const auto begin = at + key.size() + 1;
        return text.substr(begin, text.find('\n', begin) - begin);
    }
};

// Nothing: there is none now. An empty one: there will be none any more.
std::optional<Notice> receive_notice(const UniqueFd& socket)
{
    Notice notice{.text = std::string(max_notice_bytes, '\0'), .fds = {}};
    const auto received = receive(socket, notice.text, notice.fds);
    if (received && !*received)
        return {};
    notice.text.resize(received ? (*received)->bytes : 0);
    return notice;
}

} // namespace

Guard::Guard(std::string socket, mode_t socket_mode, KernelFeatures kernel,
             std::vector<std::string> command, std::function<void()> on_ready)
    : socket_{std::move(socket), socket_mode, kernel}, listening_{socket_.release()},
      command_{std::move(command)}, on_ready_{std::move(on_ready)}, signals_{make_signals()}
{
}

int Guard::run()
{
    start();
    while (!exit_status_) {
        std::array<pollfd, 2> wanted{pollfd{notices_.get(), POLLIN, 0},
                                     pollfd{signals_.get(), POLLIN, 0}};
        const auto span = to_timespec(start_at_ ? left_until(*start_at_) : nanoseconds{0});
        if (::ppoll(wanted.data(), wanted.size(), start_at_ ? &span : nullptr, nullptr) < 0 &&
            errno != EINTR)
            fail("ppoll(2)");
        on_notice(); // First: a daemon that died may have said something before.
        on_signals();
        if (start_at_ && monotonic_now() >= *start_at_ && !exit_status_)
            start();
    }
    return *exit_status_;
}

// Starting.

void Guard::start()
{
    start_at_.reset();
    is_ready_ = false;
    auto [ours, its] = make_notice_sockets();
    const auto child = ours ? ::fork() : -1;
    if (child < 0) {
        log::error("the daemon cannot be started: {}", std::strerror(errno));
        if (was_ready_ || ours)
            return restart_later(W_EXITCODE(EXIT_FAILURE, 0));
        exit_status_ = EXIT_FAILURE; // There are no more descriptors later.
        return;
    }
    if (child == 0)
        become_daemon(its);
    daemon_ = child;
    notices_ = std::move(ours);
    arrived_.clear();
}

void Guard::become_daemon(const UniqueFd& notices) const
{
    // To numbers that none of them has yet, then to those where they are looked for.
    const auto count = static_cast<int>(2 + kept_.size() + arrived_.size());
    std::vector<int> fds;
    std::string names;
    const auto pass = [&](const UniqueFd& fd, std::string_view name) {
        fds.push_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + count));
        (names += names.empty() ? "" : ":") += name;
    };
    pass(listening_, "varlink");
    pass(notices, guard_descriptor);
    for (const auto& [name, fd] : kept_)
        pass(fd, name);
    for (const auto& someone : arrived_)
        pass(someone, "client");
    for (std::size_t i = 0; i < fds.size(); ++i)
        ::dup2(fds[i], SD_LISTEN_FDS_START + static_cast<int>(i));

    ::setenv("LISTEN_FDS", std::to_string(fds.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    // Those are for the guard, which does not run a loop to watch.
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    // Signals stay blocked: one that comes early waits until the daemon looks for it.
    std::vector<char*> arguments;
    for (const auto& word : command_)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    log::critical("{} cannot be run: {}", command_.front(), std::strerror(errno));
    ::_exit(EXIT_FAILURE);
}

// What the daemon says.

void Guard::on_notice()
{
    while (notices_) {
        auto notice = receive_notice(notices_);
        if (!notice)
            return;
        if (notice->text.empty()) {
            notices_ = {};
            return;
        }
        if (notice->says(told_to_end))
            is_ending_ = true;
        const auto name = notice->value_of("FDNAME");
        if (notice->says("FDSTOREREMOVE=1"))
            std::erase_if(kept_, [&](const Kept& kept) { return kept.name == name; });
        if (notice->says("FDSTORE=1"))
            keep(name, std::move(notice->fds));
        if (notice->says("READY=1")) {
            is_ready_ = true;
            early_deaths_ = 0;
            if (!std::exchange(was_ready_, true))
                on_ready_();
        }
        // A barrier is a descriptor that is closed, which it is now. sd_notify_barrier(3)
    }
}

void Guard::keep(const std::string& name, std::deque<UniqueFd> fds)
{
    for (auto& fd : fds) {
        if (kept_.size() >= max_kept) {
            log::error("'{}' is not kept: {} descriptors are the most", name, max_kept);
            return;
        }
        kept_.push_back({name, std::move(fd)});
    }
}

// Ending.

void Guard::on_signals()
{
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGCHLD) {
            reap();
            continue;
        }
        if (signal.ssi_signo != SIGHUP)
            is_ending_ = true;
        if (daemon_ > 0)
            ::kill(daemon_, static_cast<int>(signal.ssi_signo));
        else if (is_ending_)
            exit_status_ = EXIT_SUCCESS;
    }
}

void Guard::reap()
{
    int status = 0;
    while (daemon_ > 0 && ::waitpid(daemon_, &status, WNOHANG) == daemon_) {
        on_notice(); // What it said before it died.
        notices_ = {};
        daemon_ = 0;
        // One that had been killed when we were told to end is as good as ended.
        const int code = WIFEXITED(status) ? WEXITSTATUS(status)
                         : is_ending_      ? EXIT_SUCCESS
                                           : EXIT_FAILURE;
        const bool is_done = WIFEXITED(status) && code == EXIT_SUCCESS;
        if (is_ending_ || (WIFEXITED(status) && !was_ready_)) {
            exit_status_ = code; // As it was told to, or it cannot even begin.
        } else if (is_done) {
            leave();
        } else {
            restart_later(status);
        }
    }
}

// The daemon left because nobody was there. First the door is shut, so that nobody comes in unseen;
// who came in before is handed to another daemon.
void Guard::leave()
{
    ::shutdown(listening_.get(), SHUT_RD);
    while (true) {
        UniqueFd someone{
            ::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!someone)
            break;
        arrived_.push_back(std::move(someone));
    }
    if (arrived_.empty()) {
        exit_status_ = EXIT_SUCCESS;
        return;
    }
    listening_ = socket_.open();
    start();
}

// At once, but for one that dies again and again before it is ready.
void Guard::restart_later(int status)
{
    if (WIFSIGNALED(status))
        log::warn("the daemon was killed by signal {}: starting it again", WTERMSIG(status));
    else
        log::warn("the daemon failed: starting it again");
    if (!is_ready_)
        ++early_deaths_;
    const auto pause = early_deaths_ < 4
                           ? nanoseconds{0}
                           : std::min(longest_pause, nanoseconds{10ms} * early_deaths_);
    start_at_ = monotonic_after(pause);
}

} // namespace evfd::daemon
