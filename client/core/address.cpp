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
constexpr auto idle_exit = "60s";         // Of a daemon started on demand.
constexpr nanoseconds start_timeout = 5s; // From the first attempt to an answering daemon.
constexpr nanoseconds start_retry_interval =
    10ms; // Between attempts, while another one is starting it.
constexpr nanoseconds connect_timeout = 5s;
constexpr int already_running = 75; // evfdd's exit status when another one has the socket.

std::string error_text(int error)
{
    return std::generic_category().message(error);
}

// Where.

std::unexpected<Error> unusable(const std::string& directory, std::string_view why)
{
    return std::unexpected(
        Error{ErrorCode::no_daemon,
              fmt::format("{} {}; remove it, or name a socket with EVFDD_SOCKET", directory, why)});
}

// Ours alone, so that nobody else can put a socket there.
Expected<void> check_private(const std::string& directory)
{
    struct stat there{};
    if (::lstat(directory.c_str(), &there) < 0)
        return unusable(directory, fmt::format("cannot be looked at: {}", error_text(errno)));
    if (!S_ISDIR(there.st_mode))
        return unusable(directory, "is no directory");
    if (there.st_uid != ::geteuid())
        return unusable(directory, "belongs to another user");
    if ((there.st_mode & 077) != 0)
        return unusable(directory, "is open to others");
    return {};
}

// Where the user's own daemon has its socket.
std::string user_directory()
{
    const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR");
    return runtime && *runtime == '/' ? fmt::format("{}/evfdd", runtime)
                                      : fmt::format("/tmp/evfdd-{}", ::geteuid());
}

// Whether a daemon that made this socket itself runs: it holds a lock on a file beside it, which
// stays when the daemon ends. A daemon that starts in this very moment may find the lock taken, and
// is started again by the next client.
bool is_locked(std::string_view socket)
{
    const UniqueFd file{::open(fmt::format("{}.lock", socket).c_str(),
                               O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    return file && ::flock(file.get(), LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

// Starting it.

bool is_program(const std::filesystem::path& path)
{
    return ::access(path.c_str(), X_OK) == 0;
}

// Beside the running program, where it was installed, or in $PATH.
std::optional<std::filesystem::path> find_daemon()
{
    std::vector<std::filesystem::path> places;
    std::error_code failed;
    if (const auto self = std::filesystem::read_symlink("/proc/self/exe", failed); !failed)
        places.push_back(self.parent_path());
    places.emplace_back(EVFDD_SBINDIR);
    if (const char* path = ::secure_getenv("PATH")) {
        std::string_view rest{path};
        while (!rest.empty()) {
            const auto colon = rest.find(':');
            places.emplace_back(rest.substr(0, colon));
            rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
        }
    }
    for (const auto& place : places)
        if (!place.empty() && is_program(place / "evfdd"))
            return place / "evfdd";
    return {};
}

// Runs `evfdd --guard --background`, which returns once clients can connect. It may well find that
// another one was faster: then that one is as good.
Expected<void> start_daemon(const std::string& socket)
{
    if (!may_spawn())
        return std::unexpected(Error{
            ErrorCode::no_daemon, fmt::format("no evfdd answers at {}, and a set-user-ID program "
                                              "starts none; start one before, or name its "
                                              "socket in the program",
                                              socket)});
    const auto program = find_daemon();
    if (!program)
        return std::unexpected(Error{ErrorCode::no_daemon,
                                     "there is no evfdd to start: install it, put it into PATH, or "
                                     "name a running one with --socket or EVFDD_SOCKET"});

    std::vector<std::string> words{program->string(), "--socket",    socket,
                                   "--idle-exit",     idle_exit,     "--guard",
                                   "--background",    "--log-level", "error"};
    const auto null = open_null();
    const auto child = spawn_program(std::move(words), null, null, Signals::reset);
    if (!child)
        return std::unexpected(
            Error{ErrorCode::no_daemon, fmt::format("{} cannot be started: {}", program->string(),
                                                    error_text(child.error()))});
    int status = 0;
    while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) {
    }
    const bool is_there =
        WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == already_running);
    if (!is_there)
        return std::unexpected(
            Error{ErrorCode::no_daemon,
                  fmt::format("{} did not start; run it by hand with --socket {} to see why",
                              program->string(), socket)});
    return {};
}

// Connecting.

// A connected socket, or an errno value.
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
    // connect(2) sleeps while the queue is full; a daemon that does not accept must not keep us.
    const timeval patience{.tv_sec = connect_timeout / 1s, .tv_usec = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
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
        return {ErrorCode::no_descriptor,
                fmt::format("there is no descriptor left to connect to {}: {}; close some, or "
                            "raise the limit",
                            address.path, error_text(error))};
    if (error == EACCES)
        return {ErrorCode::no_daemon,
                fmt::format("you may not connect to {}; ask for access to it", address.path)};
    if (error == EAGAIN)
        return {
            ErrorCode::no_daemon,
            fmt::format("the daemon at {} lets nobody in; see whether it is stuck", address.path)};
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
        return unusable(directory, fmt::format("cannot be made: {}", error_text(errno)));
    if (const auto is_private = check_private(directory); !is_private)
        return std::unexpected(is_private.error());
    return Address{fmt::format("{}/{}", directory, socket_name), true, {}};
}

// A connection to a socket of systemd's would start the daemon, so such sockets are left alone.
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
    const auto give_up = monotonic_deadline(start_timeout);
    bool was_started = false;
    while (true) {
        auto socket = try_connect(address.path);
        if (socket)
            return *std::move(socket);
        if (!is_daemon_absent(socket.error()) || !address.starts_on_demand ||
            (was_started && monotonic_now() > give_up))
            return std::unexpected(connect_error(address, socket.error()));
        if (was_started) // One that is just starting or ending: it answers or is gone in a moment.
            ::poll(nullptr, 0, static_cast<int>(start_retry_interval / 1ms));
        if (const auto started = start_daemon(address.path); !started)
            return std::unexpected(started.error());
        was_started = true;
    }
}

} // namespace evfd
