#include "tests/bench/daemon_process.h"

#include "common/envelope.h"
#include "common/socket.h"
#include "tests/support/unix_address.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <fstream>
#include <sstream>

namespace evfd::bench {

using e2e::value_or_throw;

namespace {

std::int64_t sum_smaps(pid_t process, std::string_view key)
{
    std::ifstream file{fmt::format("/proc/{}/smaps_rollup", process)};
    std::int64_t sum = 0;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words{line};
        std::string name;
        std::int64_t kilobytes = 0;
        if (words >> name >> kilobytes && name == key)
            sum += kilobytes;
    }
    return sum;
}

} // namespace

StrippedProgram::StrippedProgram(const std::string& program) : path_{directory_ / "program"}
{
    const auto stripped = e2e::run({.argv = {"/usr/bin/strip", "-o", path_, program}});
    e2e::require(stripped.status == 0, stripped.err);
}

namespace {

// Returns the options that give each user this quota of objects, or none if the daemon refuses it.
std::vector<std::string> quota_options(const DaemonSettings& settings,
                                       const e2e::TemporaryDirectory& directory)
{
    if (settings.objects == 0)
        return {};
    const auto config = directory / "evfdd.json";
    e2e::write_file(config, fmt::format(R"({{"limits":{{"objects":{}}}}})", settings.objects));
    if (e2e::run({.argv = {settings.program, "--check-config", config}}).status != 0)
        return {};
    return {"--config", config};
}

e2e::Process start_daemon(const DaemonSettings& settings, const e2e::TemporaryDirectory& directory,
                          const std::string& socket)
{
    std::vector<std::string> argv{settings.program, "--socket", socket};
    if (settings.generation == Generation::second)
        argv.emplace_back("--supervise");
    for (auto& option : quota_options(settings, directory))
        argv.push_back(std::move(option));
    return e2e::start({.argv = std::move(argv), .environment = settings.environment});
}

pid_t first_child_of(pid_t process)
{
    std::istringstream children{
        e2e::read_file(fmt::format("/proc/{0}/task/{0}/children", process))};
    pid_t first = 0;
    children >> first;
    return first;
}

} // namespace

DaemonProcess::DaemonProcess(const DaemonSettings& settings)
    : generation_{settings.generation}, path_{directory_ / "socket"},
      process_{start_daemon(settings, directory_, path_)}
{
    e2e::require(e2e::poll_until([&] { return can_connect(path_); }),
                 "cannot start " + settings.program);
    // A supervisor listens before its daemon runs.
    if (generation_ == Generation::second)
        (void)value_or_throw(client().status());
}

DaemonProcess::~DaemonProcess()
{
    if (generation_ == Generation::first)
        return;
    // A supervisor that is killed would leave its daemon behind for a moment.
    process_.signal(SIGTERM);
    e2e::await_readable(process_.pidfd().get());
}

pid_t DaemonProcess::pid() const
{
    return generation_ == Generation::first ? process_.pid() : first_child_of(process_.pid());
}

void DaemonProcess::recover_if_requested() const
{
    if (generation_ == Generation::second)
        (void)kill_and_recover();
}

pid_t DaemonProcess::kill_and_recover() const
{
    const auto killed = pid();
    const UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, killed, 0))};
    e2e::require(pidfd && ::kill(killed, SIGKILL) == 0 && e2e::await_readable(pidfd.get()),
                 "cannot kill the daemon");
    const auto status = value_or_throw(client().status());
    e2e::require(status.pid != killed, "the daemon was not restarted");
    return static_cast<pid_t>(status.pid);
}

UniqueFd connect_to(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connect_path(socket, path) < 0)
        e2e::fail(path);
    return socket;
}

bool can_connect(const std::string& path)
{
    try {
        connect_to(path);
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

nanoseconds cpu_time(pid_t process)
{
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &time) < 0)
        e2e::fail("clock_getcpuclockid(3)");
    return std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
}

std::int64_t private_memory(pid_t process)
{
    return 1024 * (sum_smaps(process, "Private_Dirty:") + sum_smaps(process, "Swap:"));
}

std::int64_t resident_memory(pid_t process)
{
    return 1024 * sum_smaps(process, "Rss:");
}

Exchange record_exchange(const DaemonProcess& daemon, std::string_view method,
                         std::string_view parameters)
{
    Exchange exchange{};
    append_call(exchange.request, "io.evfdd." + std::string{method}, parameters, ReplyMode::one);
    const auto socket = connect_to(daemon.path());
    e2e::require(::send(socket.get(), exchange.request.data(), exchange.request.size(), 0) ==
                     static_cast<ssize_t>(exchange.request.size()),
                 method);
    std::array<char, 4096> bytes;
    do {
        const auto got = ::recv(socket.get(), bytes.data(), bytes.size(), 0);
        e2e::require(got > 0, "no reply");
        exchange.reply_bytes += static_cast<std::size_t>(got);
        if (bytes.at(static_cast<std::size_t>(got) - 1) == '\0')
            break;
    } while (true);
    return exchange;
}

} // namespace evfd::bench
