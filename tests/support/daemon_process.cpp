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

// The number after `key`, in a file of /proc.
std::uint64_t number_after(const std::string& text, std::string_view key)
{
    const auto at = text.find(key);
    require(at != std::string::npos, std::string{key} + " is not told");
    return std::stoull(text.substr(at + key.size()));
}

} // namespace

// By hand.

UniqueFd connect_to_path(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto address = address_of(path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail(path);
    return socket;
}

void Wire::send(std::string_view bytes) const
{
    while (!bytes.empty()) {
        bytes.remove_prefix(send_some(bytes));
        if (bytes.empty())
            return;
        pollfd wanted{socket_.get(), POLLOUT, 0};
        require(::poll(&wanted, 1, static_cast<int>(patience / 1ms)) == 1,
                "the daemon does not read");
    }
}

std::size_t Wire::send_some(std::string_view bytes) const
{
    std::size_t gone = 0;
    while (gone < bytes.size()) {
        const auto sent = evfd::send(socket_, bytes.substr(gone));
        if (!sent && sent.error().error == EPIPE)
            return bytes.size();
        if (!sent)
            throw std::runtime_error{sent.error().message()};
        if (!*sent)
            break;
        gone += **sent;
    }
    return gone;
}

void Wire::call(std::string_view method, const Json& parameters, std::string_view flag) const
{
    Json call{{"method", "io.evfdd." + std::string{method}}, {"parameters", parameters}};
    if (!flag.empty())
        call[std::string{flag}] = true;
    send(call.dump() + '\0');
}

bool Wire::fill()
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

Json Wire::reply()
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

Json Wire::ask(std::string_view method, const Json& parameters)
{
    call(method, parameters);
    return reply();
}

std::string Wire::rest()
{
    while (fill()) {
    }
    return std::exchange(unread_, {});
}

// The daemon.

Process start_daemon(const TemporaryDirectory& directory, Command command)
{
    const auto notify = directory / "notify";
    ::unlink(notify.c_str());
    const UniqueFd heard{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto address = address_of(notify);
    if (::bind(heard.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail(notify);
    command.environment.push_back("NOTIFY_SOCKET=" + notify);
    if (command.user && ::chmod(notify.c_str(), 0666) < 0)
        fail("chmod(2)");
    const UniqueFd log{
        ::open((directory / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    command.standard_error = log.get();
    auto process = start(command);

    std::array<pollfd, 2> either{{{heard.get(), POLLIN, 0}, {process.pidfd().get(), POLLIN, 0}}};
    const int ready = ::poll(either.data(), either.size(), static_cast<int>(patience / 1ms));
    std::array<char, 256> text{};
    errno = 0;
    if (ready < 1 || (either[0].revents & POLLIN) == 0 ||
        ::recv(heard.get(), text.data(), text.size() - 1, MSG_DONTWAIT) < 0 ||
        !std::string_view{text.data()}.contains("READY=1"))
        fail("the daemon is not ready: " + read_file(directory / "log"));
    return process;
}

Daemon::Daemon(std::vector<std::string> options, Command command)
    : path_{directory_ / "io.evfdd"}, command_{std::move(command)}
{
    command_.words = {EVFDD_DAEMON, "--socket", path_};
    command_.words.insert(command_.words.end(), options.begin(), options.end());
    if (command_.user &&
        ::chown((directory_ / "").c_str(), command_.user->uid, command_.user->gid) < 0)
        fail("chown(2)");
    restart();
}

Daemon::~Daemon()
{
    if (std::uncaught_exceptions() > 0)
        std::fprintf(stderr, "%s", log().c_str());
}

void Daemon::kill()
{
    process_->signal(SIGKILL);
    process_->wait();
}

void Daemon::restart()
{
    process_.reset();
    process_.emplace(start_daemon(directory_, command_));
}

// The daemon is no child of ours, so it is the guard that has to end it.
Guarded::~Guarded()
{
    const UniqueFd ends = pidfd_of(pid());
    const UniqueFd daemon_ends = pidfd_of(daemon());
    if (daemon_ends)
        ::kill(daemon(), SIGCONT);
    if (!ends || await_readable(ends.get(), 0ns))
        return;
    process().signal(SIGTERM);
    await_readable(ends.get());
}

namespace {

std::vector<std::string> with_guard(std::vector<std::string> options)
{
    options.emplace_back("--guard");
    return options;
}

} // namespace

Guarded::Guarded(std::vector<std::string> options, Command command)
    : Daemon{with_guard(std::move(options)), std::move(command)}
{
}

pid_t Guarded::daemon() const
{
    return child_of(pid());
}

void Guarded::kill_daemon() const
{
    const auto kill_one = [&] {
        const auto now = daemon();
        const auto its = now > 0 ? pidfd_of(now) : UniqueFd{};
        // One that is dead already is there until the guard has heard of it.
        if (!its || await_readable(its.get(), 0ns) || daemon() != now)
            return false;
        ::syscall(SYS_pidfd_send_signal, its.get(), SIGKILL, nullptr, 0);
        return await_readable(its.get());
    };
    require(eventually(kill_one), "there is no daemon to kill");
}

void Guarded::stop_daemon() const
{
    if (::kill(daemon(), SIGSTOP) < 0)
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

Command Daemon::control(std::vector<std::string> words) const
{
    words.insert(words.begin(), {EVFDD_CTL, "--socket", path_});
    return {.words = std::move(words)};
}

std::string Daemon::done(std::vector<std::string> words) const
{
    const auto ran = ctl(std::move(words));
    INFO(ran.err);
    REQUIRE(ran.status == 0);
    return ran.out;
}

bool Daemon::has_waits(std::string_view name, std::int64_t count) const
{
    Wire wire{path_};
    // Of a name that is not there only the sum tells.
    return eventually([&] {
        const auto shown = wire.ask("Show", {{"name", name}});
        const auto waits = shown.contains("error") ? wire.ask("Status")["parameters"]["waits"]
                                                   : shown["parameters"]["object"]["waits"];
        return waits.get<std::int64_t>() == count;
    });
}

Usage Daemon::usage() const
{
    const auto of = "/proc/" + std::to_string(pid());
    const auto status = read_file(of + "/status");
    const auto io = read_file(of + "/io");
    const auto stat = read_file(of + "/stat");
    // After the name: state, ppid, ... utime and stime are the 12th and 13th. proc(5)
    std::istringstream fields{stat.substr(stat.rfind(')') + 1)};
    std::string skipped;
    for (int i = 0; i < 11; ++i)
        fields >> skipped;
    std::uint64_t user = 0, system = 0;
    fields >> user >> system;
    const auto call = read_file(of + "/syscall");
    return {
        .ticks = user + system,
        .switches = number_after(status, "\nvoluntary_ctxt_switches:") +
                    number_after(status, "nonvoluntary_ctxt_switches:"),
        .io_calls = number_after(io, "syscr:") + number_after(io, "syscw:"),
        .sleeps_in = call.substr(0, call.find('\n')),
    };
}

bool Daemon::is_idle() const
{
    return eventually([&] {
        return sleeps_in(pid(), pid(), SYS_epoll_pwait2) || sleeps_in(pid(), pid(), SYS_ppoll);
    });
}

std::ostream& operator<<(std::ostream& out, const Usage& usage)
{
    return out << usage.ticks << " ticks, " << usage.switches << " switches, " << usage.io_calls
               << " reads and writes, in " << usage.sleeps_in;
}

void skip_unless_root(std::string_view what)
{
    if (!is_root())
        skip("only root can " + std::string{what});
}

void skip_unless_strace()
{
    if (::access("/usr/bin/strace", X_OK) < 0)
        skip("strace is not installed");
}

std::vector<std::string> traced(const Daemon& daemon, const std::function<void()>& work)
{
    const auto trace = daemon.directory() / "trace";
    auto strace =
        start({.words = {"/usr/bin/strace", "-f", "-o", trace, "-p", std::to_string(daemon.pid())},
               .environment = {"LD_PRELOAD="}});
    const auto is_attached = [&] {
        return read_file("/proc/" + std::to_string(daemon.pid()) + "/status")
            .contains("TracerPid:\t" + std::to_string(strace.pid()) + "\n");
    };
    require(eventually([&] { return is_attached() || await_readable(strace.pidfd().get(), 0ns); }),
            "strace does not start");
    if (!is_attached())
        skip("strace may not trace the daemon");
    work();
    strace.signal(SIGINT);
    strace.wait();
    std::vector<std::string> calls;
    std::istringstream lines{read_file(trace)};
    for (std::string line; std::getline(lines, line);)
        // Being attached to interrupts the call that it sleeps in, which then begins anew.
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
