#include "tests/bench/daemon_process.h"

#include "common/envelope.h"
#include "common/socket.h"
#include "tests/support/unix_address.h"

#include <fmt/format.h>
#include <sys/socket.h>
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

DaemonProcess::DaemonProcess(const std::string& program)
    : path_{directory_ / "socket"}, process_{e2e::start({.argv = {program, "--socket", path_}})}
{
    e2e::require(e2e::poll_until([&] { return can_connect(path_); }), "cannot start " + program);
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
