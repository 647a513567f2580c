#include "tests/support/daemon_process.h"

#include "tests/paths.h"
#include "tests/support/process_status.h"
#include "tests/support/skip.h"
#include "tests/support/unix_address.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <sstream>

namespace evfd::e2e {

Process start_daemon(const TemporaryDirectory& directory, Command command)
{
    const auto notify = directory / "notify";
    ::unlink(notify.c_str());
    const UniqueFd notify_socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (bind_path(notify_socket, notify) < 0)
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

// Ends the daemon through its supervisor, because the daemon is not a child of the test.
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
    options.emplace_back("--supervise");
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

pid_t SupervisedDaemon::await_daemon_after(pid_t previous) const
{
    pid_t now = 0;
    require(poll_until([&] { return (now = daemon_pid()) > 0 && now != previous; }),
            "the daemon is not started again");
    return now;
}

pid_t SupervisedDaemon::kill_daemon() const
{
    pid_t now = 0;
    const auto kill_one = [&] {
        now = daemon_pid();
        const auto its = now > 0 ? pidfd_of(now) : UniqueFd{};
        // The pid alone does not show that the daemon lives: a killed daemon keeps its pid, as a
        // zombie, until the supervisor reaps it.
        if (!its || await_readable(its.get(), 0ns) || daemon_pid() != now)
            return false;
        ::syscall(SYS_pidfd_send_signal, its.get(), SIGKILL, nullptr, 0);
        return await_readable(its.get());
    };
    require(poll_until(kill_one), "there is no daemon to kill");
    return now;
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
    // Show reports the number of waits of an existing object. Waits for a name that has no object
    // appear only in the total that Status reports.
    return poll_until([&] {
        const auto shown = client.request("Show", {{"name", name}});
        const auto waits = shown.contains("error") ? client.request("Status")["parameters"]["waits"]
                                                   : shown["parameters"]["object"]["waits"];
        return waits.get<std::int64_t>() == count;
    });
}

Usage DaemonProcess::usage() const
{
    const auto call = read_process_file(pid(), "syscall");
    return {
        .ticks = cpu_ticks(pid()),
        .switches = process_number(pid(), "status", "voluntary_ctxt_switches") +
                    process_number(pid(), "status", "nonvoluntary_ctxt_switches"),
        .io_calls = process_number(pid(), "io", "syscr") + process_number(pid(), "io", "syscw"),
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
        return read_process_file(daemon.pid(), "status")
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
        // Leaves out the system calls in which the daemon sleeps. strace(1) interrupts such a call
        // when strace(1) attaches. The restarted call is not an effect of `action`.
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
