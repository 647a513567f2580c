#include "daemon/base/journald_sink.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <tuple>
#include <utility>

namespace evfd::daemon {

namespace {

// The priority of each level of spdlog, from trace to critical. syslog(3)
constexpr std::array priorities{LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR, LOG_CRIT};

// Appends "NAME=value". A value with several lines is written in binary form: the name, a line end,
// the length of the value as a 64-bit little-endian number, and the value.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
void add_field(std::string& entry, std::string_view name, std::string_view value)
{
    entry += name;
    if (!value.contains('\n')) {
        ((entry += '=') += value) += '\n';
        return;
    }
    entry += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8)
        entry += static_cast<char>((std::uint64_t{value.size()} >> shift) & 0xff);
    (entry += value) += '\n';
}

// Writes a line to standard error. If standard error is a socket, as under systemd, the function
// does not wait, because the other end can have stopped reading.
void write_to_stderr(std::string_view line)
{
    if (::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno == ENOTSOCK)
        std::ignore = ::write(STDERR_FILENO, line.data(), line.size());
}

} // namespace

bool is_journald_stream(int fd, std::string_view journal_stream)
{
    struct stat status{};
    return ::fstat(fd, &status) == 0 &&
           fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

Result<std::shared_ptr<JournaldSink>> JournaldSink::create(const std::string& path,
                                                           std::string_view identifier)
{
    if (path.size() >= sizeof sockaddr_un{}.sun_path)
        return std::unexpected(Fault{"socket(2)", ENAMETOOLONG});
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!socket)
        return std::unexpected(Fault::last("socket(2)"));
    return std::make_shared<JournaldSink>(std::move(socket), path, identifier);
}

JournaldSink::JournaldSink(UniqueFd socket, std::string path, std::string_view identifier)
    : socket_{std::move(socket)}, path_{std::move(path)}, identifier_{identifier}
{
}

void JournaldSink::sink_it_(const spdlog::details::log_msg& line)
{
    write(line, {});
}

void JournaldSink::write(const spdlog::details::log_msg& line, const log::Fields& fields)
{
    if (dropped_ > 0)
        report_dropped();
    const std::string_view message{line.payload.data(), line.payload.size()};
    const auto priority = priorities.at(static_cast<std::size_t>(line.level));
    const int error = send(entry(priority, message, fields));
    if (error == EAGAIN)
        ++dropped_;
    else if (error != 0)
        write_to_stderr(fmt::format("{}: {}\n", identifier_, message));
}

// The datagram is sent to a path, not over a connection, so it reaches a restarted journald at
// once.
int JournaldSink::send(std::string_view entry) const
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path_, address.sun_path);
    const auto sent =
        ::sendto(socket_.get(), entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return sent < 0 ? errno : 0;
}

void JournaldSink::report_dropped()
{
    if (send(entry(LOG_WARNING,
                   fmt::format("{} log lines were dropped: journald's queue was full", dropped_),
                   {})) == 0)
        dropped_ = 0;
}

std::string JournaldSink::entry(int priority, std::string_view message,
                                const log::Fields& fields) const
{
    std::string entry;
    add_field(entry, "MESSAGE", message);
    add_field(entry, "PRIORITY", fmt::to_string(priority));
    add_field(entry, "SYSLOG_IDENTIFIER", identifier_);
    if (!fields.name.empty())
        add_field(entry, "EVFDD_NAME", fields.name);
    if (fields.uid)
        add_field(entry, "EVFDD_UID", fmt::to_string(*fields.uid));
    // The pid 0 stands for a process that is not visible in our pid namespace.
    if (fields.pid.value_or(0) != 0)
        add_field(entry, "EVFDD_PID", fmt::to_string(*fields.pid));
    return entry;
}

} // namespace evfd::daemon
