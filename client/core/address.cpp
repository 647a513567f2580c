#include "client/core/address.h"

#include "client/core/spawn.h"
#include "common/clock.h"
#include "common/null_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace evfd {

namespace {

using namespace std::chrono_literals;

constexpr auto socket_name = "io.evfdd";
// The value of --idle-exit for a daemon that is started on demand.
constexpr auto idle_exit = "60s";
// How long a client that has started evfdd keeps trying to connect.
constexpr nanoseconds start_timeout = 5s;
// The time between attempts to connect while another client starts the daemon.
constexpr nanoseconds start_retry_interval = 10ms;
constexpr nanoseconds connect_timeout = 5s;
constexpr int already_running = 75; // The exit status of evfdd if another daemon has the socket.

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

// The following functions find the location of a daemon.

std::unexpected<Error> unusable(const std::string& directory, std::string_view why)
{
    return std::unexpected(
        Error{ErrorCode::no_daemon,
              fmt::format("{} {}; remove it, or set EVFDD_SOCKET to the path of a socket",
                          directory, why)});
}

// Checks that only this user can create a socket in the directory.
Expected<void> check_private(const std::string& directory)
{
    struct stat status{};
    if (::lstat(directory.c_str(), &status) < 0)
        return unusable(directory, fmt::format("cannot be inspected: {}", error_text(errno)));
    if (!S_ISDIR(status.st_mode))
        return unusable(directory, "is not a directory");
    if (status.st_uid != ::geteuid())
        return unusable(directory, "belongs to another user");
    if ((status.st_mode & 077) != 0)
        return unusable(directory, "is open to others");
    return {};
}

// Returns the directory of the user's own daemon.
std::string user_directory()
{
    const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
    return runtime && *runtime == '/' ? fmt::format("{}/evfdd", runtime)
                                      : fmt::format("/tmp/evfdd-{}", ::geteuid());
}

// Returns whether a running daemon has created this socket itself. A daemon that creates its socket
// keeps a lock on a file next to the socket. The file stays after the daemon's exit, so this
// function tries to take the lock. If a daemon starts while this function has the lock, that daemon
// can exit, because it finds the lock taken. In that case the next client starts a daemon again.
bool is_locked(std::string_view socket)
{
    const UniqueFd file{::open(fmt::format("{}.lock", socket).c_str(),
                               O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    return file && ::flock(file.get(), LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

// The following functions start a daemon.

bool is_program(const std::filesystem::path& path)
{
    return ::access(path.c_str(), X_OK) == 0;
}

// Searches for evfdd in the directory of the running program, the installation directory and $PATH.
std::optional<std::filesystem::path> find_daemon()
{
    std::vector<std::filesystem::path> directories;
    std::error_code failed;
    if (const auto self = std::filesystem::read_symlink("/proc/self/exe", failed); !failed)
        directories.push_back(self.parent_path());
    directories.emplace_back(EVFDD_SBINDIR);
    if (const char* path = ::secure_getenv("PATH")) {
        std::string_view rest{path};
        while (!rest.empty()) {
            const auto colon = rest.find(':');
            directories.emplace_back(rest.substr(0, colon));
            rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
        }
    }
    for (const auto& candidate : directories)
        if (!candidate.empty() && is_program(candidate / "evfdd"))
            return candidate / "evfdd";
    return {};
}

// Runs evfdd with its supervisor in the background, and returns once clients can connect. Succeeds
// even if another client has started a daemon first.
Expected<void> start_daemon(const std::string& socket)
{
    if (!may_spawn())
        return std::unexpected(
            Error{ErrorCode::no_daemon,
                  fmt::format("no evfdd answers at {}, and a set-user-ID program starts none; "
                              "start it first, or give the program the path of its socket",
                              socket)});
    const auto program = find_daemon();
    if (!program)
        return std::unexpected(
            Error{ErrorCode::no_daemon,
                  "evfdd was not found; install it, add its directory to PATH, or name the socket "
                  "of a running one with --socket or EVFDD_SOCKET"});

    std::vector<std::string> arguments{program->string(), "--socket",    socket,
                                       "--idle-exit",     idle_exit,     "--supervise",
                                       "--background",    "--log-level", "error"};
    const auto null = open_null();
    const auto child = spawn_program(std::move(arguments), null, null, Signals::reset);
    if (!child)
        return std::unexpected(
            Error{ErrorCode::no_daemon, fmt::format("{} cannot be started: {}", program->string(),
                                                    error_text(child.error()))});
    int status = 0;
    (void)TEMP_FAILURE_RETRY(::waitpid(*child, &status, 0));
    const bool is_running =
        WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == already_running);
    if (!is_running)
        return std::unexpected(
            Error{ErrorCode::no_daemon,
                  fmt::format("{} did not start; run it with --socket {} to see the reason",
                              program->string(), socket)});
    return {};
}

// The following functions connect to a daemon.

// Returns a connected socket, or an errno value.
std::expected<CloseOnForkFd, int> try_connect(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return std::unexpected(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

    auto socket = ForkGuard{}.adopt(UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)});
    if (!socket)
        return std::unexpected(errno);
    // connect(2) sleeps while the listener's queue is full. The timeout ends this sleep if the
    // daemon has stopped accepting connections.
    const timeval timeout{.tv_sec = connect_timeout / 1s, .tv_usec = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        if (errno != EINTR)
            return std::unexpected(errno);
    return socket;
}

bool is_daemon_absent(int error)
{
    return error == ENOENT || error == ECONNREFUSED;
}

Error connect_error(const Address& address, int error)
{
    if (error == EMFILE || error == ENFILE)
        return {
            ErrorCode::no_descriptor,
            fmt::format("no free descriptor to connect to {}: {}; close some, or raise the limit",
                        address.path, error_text(error))};
    if (error == EACCES)
        return {
            ErrorCode::no_daemon,
            fmt::format("you have no permission to connect to {}; ask the administrator for access",
                        address.path)};
    if (error == EAGAIN)
        return {ErrorCode::no_daemon,
                fmt::format("the daemon at {} accepts no connections; see whether it is stuck",
                            address.path)};
    return {ErrorCode::no_daemon,
            fmt::format("no evfdd answers at {}: {}; start it{}, or name another socket with "
                        "--socket or EVFDD_SOCKET",
                        address.path, error_text(error),
                        address.path == Address::system().path ? " (systemctl start evfdd.socket)"
                                                               : "")};
}

} // namespace

Address Address::system()
{
    return at(fmt::format("/run/evfdd/{}", socket_name));
}

Expected<Address> Address::user()
{
    const auto directory = user_directory();
    if (::mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST)
        return unusable(directory, fmt::format("cannot be created: {}", error_text(errno)));
    if (const auto is_private = check_private(directory); !is_private)
        return std::unexpected(is_private.error());
    return Address{fmt::format("{}/{}", directory, socket_name), true, {}};
}

// Returns the address only if the socket's lock is taken. A taken lock shows that the running
// daemon has created the socket itself. If the lock is free, the socket can belong to systemd, and
// a connection to that socket would start the daemon.
std::optional<Address> Address::user_on_demand()
{
    const auto directory = user_directory();
    auto path = fmt::format("{}/{}", directory, socket_name);
    if (!is_locked(path) || !check_private(directory))
        return {};
    return at(std::move(path));
}

Expected<Address> Address::usual()
{
    if (const char* path = ::secure_getenv("EVFDD_SOCKET"); path && *path)
        return at(path);
    if (auto system = Address::system(); ::access(system.path.c_str(), F_OK) == 0)
        return system;
    return user();
}

std::string_view journal_command_for(std::string_view path)
{
    if (path == Address::system().path)
        return "journalctl -u evfdd";
    if (path == fmt::format("{}/{}", user_directory(), socket_name) && !is_locked(path))
        return "journalctl --user -u evfdd";
    return {};
}

std::string no_reply_message(std::string_view path)
{
    const auto journal = journal_command_for(path);
    return fmt::format("the daemon does not answer; see {}, or restart it",
                       journal.empty() ? "whether it is stuck" : journal);
}

Expected<CloseOnForkFd> connect_to(const Address& address, ConnectMode mode)
{
    if (address.remote)
        return connect_to(*address.remote, mode);
    const auto start_deadline = monotonic_deadline(start_timeout);
    bool was_started = false;
    while (true) {
        auto socket = try_connect(address.path);
        if (socket)
            return *std::move(socket);
        if (!is_daemon_absent(socket.error()) || !address.starts_on_demand ||
            (was_started && monotonic_now() > start_deadline))
            return std::unexpected(connect_error(address, socket.error()));
        // evfdd was started, but no daemon answers yet. Either another daemon is starting and will
        // soon answer, or another daemon is exiting and will soon release the socket.
        if (was_started)
            ::poll(nullptr, 0, static_cast<int>(start_retry_interval / 1ms));
        if (const auto started = start_daemon(address.path); !started)
            return std::unexpected(started.error());
        was_started = true;
    }
}

} // namespace evfd
