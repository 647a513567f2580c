#include "daemon/process/supervisor.h"

#include "common/socket.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/process/signals.h"

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

// Returns a SOCK_SEQPACKET socketpair, which preserves message boundaries and reports when the
// other end is closed.
std::pair<UniqueFd, UniqueFd> make_notify_sockets()
{
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) < 0)
        return {};
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

struct NotifyMessage {
    std::string text;
    std::deque<UniqueFd> fds;

    bool has_line(std::string_view line) const
    {
        return ("\n" + text + "\n").contains("\n" + std::string{line} + "\n");
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

// Returns the next message.
// Returns nothing if no message is queued.
// Returns an empty message once the other end is closed.
std::optional<NotifyMessage> receive_message(const UniqueFd& socket)
{
    NotifyMessage message{.text = std::string(max_notify_message_bytes, '\0'), .fds = {}};
    const auto received = receive(socket, message.text, message.fds);
    if (received && !*received)
        return {};
    message.text.resize(received ? (*received)->bytes : 0);
    return message;
}

} // namespace

Supervisor::Supervisor(std::string socket, mode_t socket_mode, KernelFeatures kernel,
                       std::vector<std::string> command, std::function<void()> on_ready)
    : socket_{std::move(socket), socket_mode, kernel}, listening_{socket_.release()},
      command_{std::move(command)}, on_ready_{std::move(on_ready)},
      signals_{make_signalfd({SIGCHLD, SIGTERM, SIGINT, SIGHUP})}
{
}

int Supervisor::run()
{
    start();
    while (!exit_status_) {
        std::array<pollfd, 2> polled{pollfd{notify_socket_.get(), POLLIN, 0},
                                     pollfd{signals_.get(), POLLIN, 0}};
        const auto span = to_timespec(restart_at_ ? time_until(*restart_at_) : nanoseconds{0});
        if (::ppoll(polled.data(), polled.size(), restart_at_ ? &span : nullptr, nullptr) < 0 &&
            errno != EINTR)
            throw std::system_error{errno, std::generic_category(), "ppoll(2)"};
        // Notifications are read before signals. If the daemon has died, the notifications that it
        // sent before its death still count.
        on_notify();
        on_signals();
        if (restart_at_ && monotonic_now() >= *restart_at_ && !exit_status_)
            start();
    }
    return *exit_status_;
}

// The functions below start the daemon.

void Supervisor::start()
{
    restart_at_.reset();
    is_ready_ = false;
    auto [ours, theirs] = make_notify_sockets();
    const auto child = ours ? ::fork() : -1;
    if (child < 0) {
        log_.error({}, "the daemon cannot be started: {}", std::strerror(errno));
        if (was_ready_ || ours)
            return schedule_restart(W_EXITCODE(EXIT_FAILURE, 0));
        // Gives up, because no daemon was ready yet and no descriptor is free for the socketpair. A
        // later attempt would not find more free descriptors.
        exit_status_ = EXIT_FAILURE;
        return;
    }
    if (child == 0)
        exec_daemon(theirs);
    daemon_ = child;
    notify_socket_ = std::move(ours);
    accepted_clients_.clear();
}

void Supervisor::exec_daemon(const UniqueFd& notify_socket) const
{
    // Duplicates each descriptor twice: first to a number above the range of the final numbers, and
    // from there to its final number. Thus no duplicate replaces a descriptor that is still needed.
    const auto count = static_cast<int>(2 + fd_store_.size() + accepted_clients_.size());
    std::vector<int> fds;
    std::string names;
    const auto pass = [&](const UniqueFd& fd, std::string_view name) {
        fds.push_back(::fcntl(fd.get(), F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + count));
        (names += names.empty() ? "" : ":") += name;
    };
    pass(listening_, "varlink");
    pass(notify_socket, supervisor_fd_name);
    for (const auto& [name, fd] : fd_store_)
        pass(fd, name);
    for (const auto& client : accepted_clients_)
        pass(client, "client");
    for (std::size_t i = 0; i < fds.size(); ++i)
        ::dup2(fds[i], SD_LISTEN_FDS_START + static_cast<int>(i));

    ::setenv("LISTEN_FDS", std::to_string(fds.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    // NOTIFY_SOCKET and WATCHDOG_USEC are meant for the supervisor, not for the daemon.
    ::unsetenv("NOTIFY_SOCKET");
    ::unsetenv("WATCHDOG_USEC");
    // Signals stay blocked across execv(3). A signal that arrives before the daemon has its
    // signalfd stays pending until then.
    std::vector<char*> arguments;
    for (const auto& argument : command_)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    ::execv(arguments.front(), arguments.data());
    log::critical({}, "{} cannot be run: {}", command_.front(), std::strerror(errno));
    ::_exit(EXIT_FAILURE);
}

// The functions below handle notifications from the daemon.

void Supervisor::on_notify()
{
    while (notify_socket_) {
        auto message = receive_message(notify_socket_);
        if (!message)
            return;
        if (message->text.empty()) {
            notify_socket_ = {};
            return;
        }
        if (message->has_line(stop_requested))
            is_stopping_ = true;
        const auto name = message->value_of("FDNAME");
        if (message->has_line("FDSTOREREMOVE=1"))
            std::erase_if(fd_store_, [&](const StoredFd& stored) { return stored.name == name; });
        if (message->has_line("FDSTORE=1"))
            add_fds(name, std::move(message->fds));
        if (message->has_line("READY=1")) {
            is_ready_ = true;
            failed_starts_ = 0;
            if (!std::exchange(was_ready_, true))
                on_ready_();
        }
        // The destructor of `message` closes its descriptors here. If the message is a barrier, the
        // daemon learns from the close that the message was read. See sd_notify_barrier(3).
    }
}

void Supervisor::add_fds(const std::string& name, std::deque<UniqueFd> fds)
{
    for (auto& fd : fds) {
        if (fd_store_.size() >= max_stored_fds) {
            log_.error({}, "'{}' is not stored: the limit is {} descriptors", name, max_stored_fds);
            return;
        }
        fd_store_.push_back({name, std::move(fd)});
    }
}

// The functions below handle signals and the end of the daemon.

void Supervisor::on_signals()
{
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGCHLD) {
            reap();
            continue;
        }
        if (signal.ssi_signo != SIGHUP)
            is_stopping_ = true;
        if (daemon_ > 0)
            ::kill(daemon_, static_cast<int>(signal.ssi_signo));
        else if (is_stopping_)
            exit_status_ = EXIT_SUCCESS;
    }
}

void Supervisor::reap()
{
    int status = 0;
    while (daemon_ > 0 && ::waitpid(daemon_, &status, WNOHANG) == daemon_) {
        on_notify(); // Reads the notifications that the daemon sent before its end.
        notify_socket_ = {};
        daemon_ = 0;
        // If the daemon was killed after a request to stop, the supervisor reports a clean stop.
        const int code = WIFEXITED(status) ? WEXITSTATUS(status)
                         : is_stopping_    ? EXIT_SUCCESS
                                           : EXIT_FAILURE;
        const bool is_done = WIFEXITED(status) && code == EXIT_SUCCESS;
        if (is_stopping_ || (WIFEXITED(status) && !was_ready_)) {
            // The daemon stopped on request, or it cannot start at all. The supervisor exits with
            // the daemon's status.
            exit_status_ = code;
        } else if (is_done) {
            on_idle_exit();
        } else {
            schedule_restart(status);
        }
    }
}

// Called when the daemon has exited because it was idle. The supervisor first stops accepting, so
// that no client connects unnoticed. The clients that had connected before are passed to another
// daemon.
void Supervisor::on_idle_exit()
{
    ::shutdown(listening_.get(), SHUT_RD);
    while (true) {
        UniqueFd client{
            ::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!client)
            break;
        accepted_clients_.push_back(std::move(client));
    }
    if (accepted_clients_.empty()) {
        exit_status_ = EXIT_SUCCESS;
        return;
    }
    listening_ = socket_.open();
    start();
}

// Restarts the daemon immediately, or after a delay if it fails repeatedly before it is ready.
void Supervisor::schedule_restart(int status)
{
    if (WIFSIGNALED(status))
        log_.warn({}, "the daemon was killed by signal {}: restarting it", WTERMSIG(status));
    else
        log_.warn({}, "the daemon failed: restarting it");
    if (!is_ready_)
        ++failed_starts_;
    const auto delay =
        failed_starts_ < 4
            ? nanoseconds{0}
            : std::min<nanoseconds>(max_restart_delay, nanoseconds{10ms} * failed_starts_);
    restart_at_ = monotonic_deadline(delay);
}

} // namespace evfd::daemon
