#include "tests/support/daemon_process.h"

#include "common/socket.h"
#include "tests/paths.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <sstream>

namespace evfd::e2e {

namespace {

sockaddr_un address_of(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    require(path.size() < sizeof address.sun_path, "the path of a socket is too long");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

// Returns the number that follows `key` in the text of a /proc file.
std::uint64_t number_after(const std::string& text, std::string_view key)
{
    const auto at = text.find(key);
    require(at != std::string::npos, std::string{key} + " is not told");
    return std::stoull(text.substr(at + key.size()));
}

} // namespace

// WireClient.

UniqueFd connect_to_path(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto address = address_of(path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail(path);
    return socket;
}

void WireClient::send(std::string_view bytes) const
{
    while (!bytes.empty()) {
        bytes.remove_prefix(send_some(bytes));
        if (bytes.empty())
            return;
        pollfd wanted{socket_.get(), POLLOUT, 0};
        require(::poll(&wanted, 1, static_cast<int>(default_timeout / 1ms)) == 1,
                "the daemon does not read");
    }
}

std::size_t WireClient::send_some(std::string_view bytes) const
{
    std::size_t bytes_sent = 0;
    while (bytes_sent < bytes.size()) {
        const auto sent = evfd::send(socket_, bytes.substr(bytes_sent));
        if (!sent && sent.error().error == EPIPE)
            return bytes.size();
        if (!sent)
            throw std::runtime_error{sent.error().message()};
        if (!*sent)
            break;
        bytes_sent += **sent;
    }
    return bytes_sent;
}

void WireClient::call(std::string_view method, const Json& parameters, std::string_view flag) const
{
    Json call{{"method", "io.evfdd." + std::string{method}}, {"parameters", parameters}};
    if (!flag.empty())
        call[std::string{flag}] = true;
    send(call.dump() + '\0');
}

bool WireClient::fill()
{
    errno = 0;
    if (!await_readable(socket_.get()))
        fail("the daemon does not answer");
    std::string buffer(1 << 16, '\0');
    const auto got = receive(socket_, buffer, descriptors_);
    if (!got || (*got && (*got)->bytes == 0))
        return false;
    if (*got)
        unread_.append(buffer, 0, (*got)->bytes);
    return true;
}

Json WireClient::reply()
{
    while (true) {
        if (const auto end = unread_.find('\0'); end != std::string::npos) {
            auto parsed = Json::parse(unread_.substr(0, end));
            unread_.erase(0, end + 1);
            return parsed;
        }
        require(fill(), "the daemon hung up");
    }
}

Json WireClient::request(std::string_view method, const Json& parameters)
{
    call(method, parameters);
    return reply();
}

std::string WireClient::read_to_end()
{
    while (fill()) {
    }
    return std::exchange(unread_, {});
}

// DaemonProcess.

Process start_daemon(const TemporaryDirectory& directory, Command command)
{
    const auto notify = directory / "notify";
    ::unlink(notify.c_str());
    const UniqueFd notify_socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto address = address_of(notify);
    if (::bind(notify_socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) <
        0)
        fail(notify);
    command.environment.push_back("NOTIFY_SOCKET=" + notify);
    if (command.user && ::chmod(notify.c_str(), 0666) < 0)
        fail("chmod(2)");
    const UniqueFd log{
        ::open((directory / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    command.standard_error = log.get();
    auto process = start(command);

    std::array<pollfd, 2> polled{
        {{notify_socket.get(), POLLIN, 0}, {process.pidfd().get(), POLLIN, 0}}};
    const int ready = ::poll(polled.data(), polled.size(), static_cast<int>(default_timeout / 1ms));
    std::array<char, 256> text{};
    errno = 0;
    if (ready < 1 || (polled[0].revents & POLLIN) == 0 ||
        ::recv(notify_socket.get(), text.data(), text.size() - 1, MSG_DONTWAIT) < 0 ||
        !std::string_view{text.data()}.contains("READY=1"))
        fail("the daemon is not ready: " + read_file(directory / "log"));
    return process;
}

DaemonProcess::DaemonProcess(std::vector<std::string> options, Command command)
    : path_{directory_ / "io.evfdd"}, command_{std::move(command)}
{
    command_.argv = {EVFDD_DAEMON, "--socket", path_};
    command_.argv.insert(command_.argv.end(), options.begin(), options.end());
    if (command_.user &&
        ::chown((directory_ / "").c_str(), command_.user->uid, command_.user->gid) < 0)
        fail("chown(2)");
    restart();
}

DaemonProcess::~DaemonProcess()
{
    if (std::uncaught_exceptions() > 0)
        std::fprintf(stderr, "%s", log().c_str());
}

void DaemonProcess::kill()
{
    process_->signal(SIGKILL);
    process_->wait();
}

void DaemonProcess::restart()
{
    process_.reset();
    process_.emplace(start_daemon(directory_, command_));
}

// The daemon is not a child of the test, so only the supervisor can end it.
SupervisedDaemon::~SupervisedDaemon()
{
    const UniqueFd supervisor_pidfd = pidfd_of(pid());
    const UniqueFd daemon_pidfd = pidfd_of(daemon_pid());
    if (daemon_pidfd)
        ::kill(daemon_pid(), SIGCONT);
    if (!supervisor_pidfd || await_readable(supervisor_pidfd.get(), 0ns))
        return;
    process().signal(SIGTERM);
    await_readable(supervisor_pidfd.get());
}

namespace {

std::vector<std::string> with_supervise_option(std::vector<std::string> options)
{
    options.emplace_back("--guard");
    return options;
}

} // namespace

SupervisedDaemon::SupervisedDaemon(std::vector<std::string> options, Command command)
    : DaemonProcess{with_supervise_option(std::move(options)), std::move(command)}
{
}

pid_t SupervisedDaemon::daemon_pid() const
{
    return child_of(pid());
}

void SupervisedDaemon::kill_daemon() const
{
    const auto kill_one = [&] {
        const auto now = daemon_pid();
        const auto its = now > 0 ? pidfd_of(now) : UniqueFd{};
        // A dead daemon is a zombie until the supervisor reaps it.
        if (!its || await_readable(its.get(), 0ns) || daemon_pid() != now)
            return false;
        ::syscall(SYS_pidfd_send_signal, its.get(), SIGKILL, nullptr, 0);
        return await_readable(its.get());
    };
    require(poll_until(kill_one), "there is no daemon to kill");
}

void SupervisedDaemon::stop_daemon() const
{
    if (::kill(daemon_pid(), SIGSTOP) < 0)
        fail("kill(2)");
}

pid_t child_of(pid_t process)
{
    const auto number = std::to_string(process);
    std::istringstream children{read_file("/proc/" + number + "/task/" + number + "/children")};
    pid_t first = 0;
    children >> first;
    return first;
}

UniqueFd pidfd_of(pid_t process)
{
    return UniqueFd{static_cast<int>(::syscall(SYS_pidfd_open, process, 0))};
}

std::size_t descriptors_of(pid_t process)
{
    const std::filesystem::directory_iterator open{"/proc/" + std::to_string(process) + "/fd"};
    return static_cast<std::size_t>(std::distance(begin(open), end(open)));
}

Command DaemonProcess::ctl_command(std::vector<std::string> arguments) const
{
    arguments.insert(arguments.begin(), {EVFDD_CTL, "--socket", path_});
    return {.argv = std::move(arguments)};
}

std::string DaemonProcess::checked_ctl(std::vector<std::string> arguments) const
{
    const auto result = ctl(std::move(arguments));
    INFO(result.err);
    REQUIRE(result.status == 0);
    return result.out;
}

bool DaemonProcess::has_waits(std::string_view name, std::int64_t count) const
{
    WireClient client{path_};
    // Without an object of that name only Status has a count.
    return poll_until([&] {
        const auto shown = client.request("Show", {{"name", name}});
        const auto waits = shown.contains("error") ? client.request("Status")["parameters"]["waits"]
                                                   : shown["parameters"]["object"]["waits"];
        return waits.get<std::int64_t>() == count;
    });
}

Usage DaemonProcess::usage() const
{
    const auto process_directory = "/proc/" + std::to_string(pid());
    const auto status = read_file(process_directory + "/status");
    const auto io = read_file(process_directory + "/io");
    const auto stat = read_file(process_directory + "/stat");
    // The fields after the name begin with state and ppid; utime and stime are the 12th and 13th.
    // proc(5)
    std::istringstream fields{stat.substr(stat.rfind(')') + 1)};
    std::string skipped;
    for (int i = 0; i < 11; ++i)
        fields >> skipped;
    std::uint64_t user = 0, system = 0;
    fields >> user >> system;
    const auto call = read_file(process_directory + "/syscall");
    return {
        .ticks = user + system,
        .switches = number_after(status, "\nvoluntary_ctxt_switches:") +
                    number_after(status, "nonvoluntary_ctxt_switches:"),
        .io_calls = number_after(io, "syscr:") + number_after(io, "syscw:"),
        .blocked_in = call.substr(0, call.find('\n')),
    };
}

bool DaemonProcess::is_idle() const
{
    return poll_until([&] {
        return is_blocked_in(pid(), pid(), SYS_epoll_pwait2) ||
               is_blocked_in(pid(), pid(), SYS_ppoll);
    });
}

std::ostream& operator<<(std::ostream& out, const Usage& usage)
{
    return out << usage.ticks << " ticks, " << usage.switches << " switches, " << usage.io_calls
               << " reads and writes, in " << usage.blocked_in;
}

void skip_unless_root(std::string_view capability)
{
    if (!is_root())
        skip("only root can " + std::string{capability});
}

void skip_unless_strace()
{
    if (::access("/usr/bin/strace", X_OK) < 0)
        skip("strace is not installed");
}

std::vector<std::string> trace_system_calls(const DaemonProcess& daemon,
                                            const std::function<void()>& action)
{
    const auto trace = daemon.directory() / "trace";
    auto strace =
        start({.argv = {"/usr/bin/strace", "-f", "-o", trace, "-p", std::to_string(daemon.pid())},
               .environment = {"LD_PRELOAD="}});
    const auto is_attached = [&] {
        return read_file("/proc/" + std::to_string(daemon.pid()) + "/status")
            .contains("TracerPid:\t" + std::to_string(strace.pid()) + "\n");
    };
    require(poll_until([&] { return is_attached() || await_readable(strace.pidfd().get(), 0ns); }),
            "strace does not start");
    if (!is_attached())
        skip("strace may not trace the daemon");
    action();
    strace.signal(SIGINT);
    strace.wait();
    std::vector<std::string> calls;
    std::istringstream lines{read_file(trace)};
    for (std::string line; std::getline(lines, line);)
        // strace interrupts the system call in which the daemon sleeps, and the daemon then
        // restarts it.
        if (!line.contains("epoll_pwait2(") && !line.contains("ppoll(") &&
            !line.contains("restart_syscall(") && !line.contains("--- SIG") &&
            !line.contains("epoll_pwait2 resumed") && !line.contains("ppoll resumed"))
            calls.push_back(line);
    return calls;
}

std::vector<pid_t> threads_of(pid_t process)
{
    std::vector<pid_t> threads;
    for (const auto& entry :
         std::filesystem::directory_iterator{"/proc/" + std::to_string(process) + "/task"})
        threads.push_back(std::stoi(entry.path().filename()));
    std::ranges::sort(threads);
    return threads;
}

} // namespace evfd::e2e
