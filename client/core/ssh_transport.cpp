#include "client/core/ssh_transport.h"

#include "client/core/connection.h"
#include "client/core/spawn.h"
#include "common/clock.h"
#include "common/protocol/protocol.h"
#include "common/result.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

namespace evfd {

namespace {

using namespace std::chrono_literals;

// How long to wait for the daemon's first reply after the start of ssh. The user sometimes has to
// type a password. sshd(8) allows two minutes for the password, and so does this limit.
constexpr nanoseconds greeting_timeout = 2min;
// How long to wait for the exit of ssh after the end of its output.
constexpr nanoseconds exit_timeout = 5s;

constexpr int status_ssh_failed = 255; // The exit status of ssh if it failed to connect.
constexpr int status_not_found = 127;  // The exit status of a shell if it did not find the command.
constexpr int status_no_daemon = 5;    // The exit status of evfdctl if it found no daemon.

// The ssh processes that this process has started and not yet reaped. Every call of add() reaps the
// processes that have exited, so that the list does not grow with every new connection.
class Children {
public:
    void add(pid_t child)
    {
        const std::lock_guard locked{mutex_};
        std::erase_if(running_,
                      [](pid_t other) { return ::waitpid(other, nullptr, WNOHANG) != 0; });
        running_.push_back(child);
    }
    // Waits up to `exit_timeout` for the child to exit. Returns the child's exit status, or nothing
    // if the child has not exited, was killed, or was reaped by other code.
    std::optional<int> wait_for(pid_t child)
    {
        const UniqueFd ends{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
        pollfd polled{ends.get(), POLLIN, 0};
        while (ends && ::poll(&polled, 1, static_cast<int>(exit_timeout / 1ms)) < 0 &&
               errno == EINTR) {
        }
        const std::lock_guard locked{mutex_};
        int status = 0;
        if (std::erase(running_, child) == 0 || ::waitpid(child, &status, WNOHANG) != child ||
            !WIFEXITED(status))
            return {};
        return WEXITSTATUS(status);
    }

private:
    std::mutex mutex_;
    std::vector<pid_t> running_;
};

Children& children()
{
    // The list of ssh processes is never destroyed, because threads can use the list while this
    // process exits.
    static auto& all = *new Children;
    return all;
}

// Returns the text in quotes, so that a shell takes the text as one word.
std::string shell_quote(std::string_view word)
{
    std::string text = "'";
    for (const char c : word)
        text += c == '\'' ? R"('\'')" : std::string(1, c);
    return text + '\'';
}

// Returns the command line for the shell on the other machine.
std::string remote_command(const Remote& remote, ConnectMode mode)
{
    std::string command = "evfdctl";
    for (const auto& option : remote.options)
        command += ' ' + shell_quote(option);
    command += " relay --hang-up";
    return mode == ConnectMode::reconnect ? command + " --again" : command;
}

// Returns the arguments for ssh. The host comes after "--", so that ssh never takes the host for an
// option.
std::vector<std::string> ssh_arguments(const Remote& remote, ConnectMode mode)
{
    std::vector<std::string> arguments{"ssh"};
    if (!remote.ssh.empty())
        arguments = {"/bin/sh", "-c", remote.ssh + " \"$@\"", "ssh"};
    arguments.insert(arguments.end(), {"--", remote.host, remote_command(remote, mode)});
    return arguments;
}

// Returns a connected pair of sockets. On failure, sets errno and returns empty descriptors.
std::pair<CloseOnForkFd, CloseOnForkFd> make_socket_pair()
{
    std::array<int, 2> ends{-1, -1};
    const ForkGuard unforked;
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
    return {unforked.adopt(UniqueFd{ends[0]}), unforked.adopt(UniqueFd{ends[1]})};
}

// Executes one call on a duplicate of `socket`, to learn whether the daemon answers. Reads the
// whole reply, so that `socket` can be used for other calls afterwards.
Expected<void> probe_daemon(const CloseOnForkFd& socket)
{
    auto duplicate = ForkGuard{}.adopt(UniqueFd{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)});
    if (!duplicate)
        return std::unexpected(Error{ErrorCode::system, Fault::last("fcntl(2)").message()});
    Connection connection{std::move(duplicate)};
    const auto deadline = monotonic_deadline(greeting_timeout);
    if (const auto sent = connection.send(protocol::GetInfo{}, deadline); !sent)
        return sent;
    const auto answer = connection.receive<protocol::GetInfo>(deadline);
    return answer ? Expected<void>{} : std::unexpected(answer.error());
}

std::string describe_exit(const Remote& remote, std::optional<int> status)
{
    if (!status)
        return "ssh did not connect";
    switch (*status) {
    case status_ssh_failed: return "ssh could not connect; its message is above";
    case status_not_found:
        return remote.ssh.empty() ? "evfdctl was not found there; install it"
                                  : "ssh here or evfdctl there was not found; install it";
    case status_no_daemon: return "evfdctl there found no daemon; its message is above";
    default: return fmt::format("ssh exited with status {}", *status);
    }
}

Error unreachable_error(const Remote& remote, const Error& error, pid_t child)
{
    const auto failure = [&](std::string_view why) {
        return Error{ErrorCode::no_daemon,
                     fmt::format("failed to connect to '{}': {}", remote.host, why)};
    };
    switch (error.code) {
    case ErrorCode::interrupted: return failure(describe_exit(remote, children().wait_for(child)));
    case ErrorCode::no_daemon: return failure("nothing answers; see whether the daemon is stuck");
    default:
        return failure("the reply is not from evfdd; check that the shell there prints nothing");
    }
}

} // namespace

Expected<Remote> Remote::at(std::string host)
{
    if (host.empty() || host.starts_with('-'))
        return std::unexpected(Error{
            ErrorCode::invalid,
            fmt::format("'{}' is not a valid host; give one as for ssh, such as user@host", host)});
    return Remote{.host = std::move(host)};
}

Expected<CloseOnForkFd> connect_to(const Remote& remote, ConnectMode mode)
{
    auto [ours, theirs] = make_socket_pair();
    if (!ours)
        return std::unexpected(Error{ErrorCode::system, Fault::last("socketpair(2)").message()});
    if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0)
        return std::unexpected(Error{ErrorCode::system, Fault::last("fcntl(2)").message()});
    const auto child =
        spawn_program(ssh_arguments(remote, mode), theirs.fd(), theirs.fd(), Signals::inherited);
    if (!child)
        return std::unexpected(Error{
            ErrorCode::no_daemon,
            fmt::format("ssh cannot be started: {}; install it, or give another command with --ssh",
                        std::generic_category().message(child.error()))});
    // Closes this process's copy of the socket that ssh uses. While the copy is open, the other end
    // of the pair, `ours`, does not hang up when ssh exits.
    theirs = {};
    children().add(*child);
    if (const auto answered = probe_daemon(ours); !answered) {
        ours = {};
        return std::unexpected(unreachable_error(remote, answered.error(), *child));
    }
    return std::move(ours);
}

} // namespace evfd
