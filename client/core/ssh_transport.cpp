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

// From the start of ssh to the daemon's first answer: somebody may have to type a password, for
// which sshd(8) gives as long.
constexpr nanoseconds greeting_timeout = 2min;
constexpr nanoseconds exit_timeout = 5s; // For ssh, once it closed its output.

constexpr int status_ssh_failed = 255; // It did not get there.
constexpr int status_not_found = 127;  // A shell's: there is no such command.
constexpr int status_no_daemon = 5;    // evfdctl's.

// Those we started, until they were asked how they ended: at the latest when the next one is
// started, so that at most as many as there are connections are there.
class Children {
public:
    void add(pid_t child)
    {
        const std::lock_guard holding{mutex_};
        std::erase_if(running_,
                      [](pid_t other) { return ::waitpid(other, nullptr, WNOHANG) != 0; });
        running_.push_back(child);
    }
    // How it ended, if it does soon, and if nobody else has asked.
    std::optional<int> wait_for(pid_t child)
    {
        const UniqueFd ends{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
        pollfd wanted{ends.get(), POLLIN, 0};
        while (ends && ::poll(&wanted, 1, static_cast<int>(exit_timeout / 1ms)) < 0 &&
               errno == EINTR) {
        }
        const std::lock_guard holding{mutex_};
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
    static auto& all = *new Children; // A thread may still be on its way while the process ends.
    return all;
}

// One word for a shell, whatever is in it.
std::string shell_quote(std::string_view word)
{
    std::string text = "'";
    for (const char c : word)
        text += c == '\'' ? R"('\'')" : std::string(1, c);
    return text + '\'';
}

// What the shell there is to run.
std::string remote_command(const Remote& remote, ConnectMode mode)
{
    std::string command = "evfdctl";
    for (const auto& option : remote.options)
        command += ' ' + shell_quote(option);
    command += " relay --hang-up";
    return mode == ConnectMode::reconnect ? command + " --again" : command;
}

// After "--", so that whatever the host is called is no option.
std::vector<std::string> ssh_arguments(const Remote& remote, ConnectMode mode)
{
    std::vector<std::string> words{"ssh"};
    if (!remote.ssh.empty())
        words = {"/bin/sh", "-c", remote.ssh + " \"$@\"", "ssh"};
    words.insert(words.end(), {"--", remote.host, remote_command(remote, mode)});
    return words;
}

// Empty, with errno, if there are none to be had.
std::pair<CloseOnForkFd, CloseOnForkFd> make_socket_pair()
{
    std::array<int, 2> ends{-1, -1};
    const ForkGuard unforked;
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
    return {unforked.adopt(UniqueFd{ends[0]}), unforked.adopt(UniqueFd{ends[1]})};
}

// One call and its answer, and nothing is left of it. The channel has a descriptor of its own.
Expected<void> probe_daemon(const CloseOnForkFd& socket)
{
    auto own = ForkGuard{}.adopt(UniqueFd{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0)});
    if (!own)
        return std::unexpected(Error{ErrorCode::system, Fault::last("fcntl(2)").message()});
    Connection channel{std::move(own)};
    const auto deadline = monotonic_deadline(greeting_timeout);
    if (const auto sent = channel.send(protocol::GetInfo{}, deadline); !sent)
        return sent;
    const auto answer = channel.receive<protocol::GetInfo>(deadline);
    return answer ? Expected<void>{} : std::unexpected(answer.error());
}

std::string describe_exit(const Remote& remote, std::optional<int> status)
{
    if (!status)
        return "ssh did not get through to it";
    switch (*status) {
    case status_ssh_failed: return "ssh did not get there; it says why above";
    case status_not_found:
        return remote.ssh.empty() ? "there is no evfdctl there; install it"
                                  : "ssh here or evfdctl there was not found; install it";
    case status_no_daemon: return "evfdctl there found no daemon; it says why above";
    default: return fmt::format("the way there ended with status {}", *status);
    }
}

Error unreachable_error(const Remote& remote, const Error& error, pid_t child)
{
    const auto told = [&](std::string_view why) {
        return Error{ErrorCode::no_daemon,
                     fmt::format("no evfdd can be reached at '{}': {}", remote.host, why)};
    };
    switch (error.code) {
    case ErrorCode::interrupted: return told(describe_exit(remote, children().wait_for(child)));
    case ErrorCode::no_daemon: return told("nothing answers; see whether it is stuck");
    default: return told("what answers is something else; see that the shell there prints nothing");
    }
}

} // namespace

Expected<Remote> Remote::at(std::string host)
{
    if (host.empty() || host.starts_with('-'))
        return std::unexpected(Error{
            ErrorCode::invalid,
            fmt::format("'{}' is no host; give one as ssh takes it, such as user@host", host)});
    return Remote{.host = std::move(host)};
}

Expected<CloseOnForkFd> connect_to(const Remote& remote, ConnectMode mode)
{
    auto [ours, its] = make_socket_pair();
    if (!ours)
        return std::unexpected(Error{ErrorCode::system, Fault::last("socketpair(2)").message()});
    if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0)
        return std::unexpected(Error{ErrorCode::system, Fault::last("fcntl(2)").message()});
    const auto child =
        spawn_program(ssh_arguments(remote, mode), its.fd(), its.fd(), Signals::inherited);
    if (!child)
        return std::unexpected(
            Error{ErrorCode::no_daemon,
                  fmt::format("ssh cannot be started: {}; install it, or name another with --ssh",
                              std::generic_category().message(child.error()))});
    its = {}; // Or we would never see it go.
    children().add(*child);
    if (const auto answered = probe_daemon(ours); !answered) {
        ours = {};
        return std::unexpected(unreachable_error(remote, answered.error(), *child));
    }
    return std::move(ours);
}

} // namespace evfd
