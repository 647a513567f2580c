#include "daemon/process/listening_socket.h"

#include "common/socket.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <system_error>

namespace evfd::daemon {

namespace {

[[noreturn]] void fail(const std::string& what)
{
    throw std::system_error{errno, std::generic_category(), what};
}

sockaddr_un address_of(const std::string& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        fail(fmt::format("the socket's path exceeds {} bytes: {}", sizeof address.sun_path - 1,
                         path));
    }
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

UniqueFd make_socket(int flags)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0)};
    if (!socket)
        fail("socket(2)");
    return socket;
}

// Locks the path. The lock is taken before the path is checked, and is held while the
// ListeningSocket exists. Without the lock, two daemons that start at the same time could both find
// that the socket file of a third daemon is stale.
UniqueFd lock(const std::string& path)
{
    const auto file = path + ".lock";
    UniqueFd lock{::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (!lock)
        fail(file);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0)
        return lock;
    if (errno == EWOULDBLOCK)
        throw AlreadyRunning{fmt::format("another evfdd is running at {}; stop it first, or choose "
                                         "another socket with --socket",
                                         path)};
    fail(file);
}

} // namespace

// Only ECONNREFUSED and ENOENT mean that no process listens. After any other error of connect(2), a
// process can be listening: the process is perhaps busy, denies us the connection, or has a socket
// of another type.
std::optional<pid_t> find_listener(const std::string& path)
{
    const auto address = address_of(path);
    const auto socket = make_socket(SOCK_NONBLOCK);
    // Makes the kernel refuse descriptors that the listener sends. The listener can be any process.
    (void)refuse_descriptors(socket);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return errno == ECONNREFUSED || errno == ENOENT ? std::nullopt : std::optional<pid_t>{0};
    const auto peer = peer_of(socket);
    return peer ? peer->pid : 0;
}

ListeningSocket::ListeningSocket(std::string path, mode_t mode, KernelFeatures kernel)
    : path_{std::move(path)}, mode_{mode}, kernel_{kernel}, lock_{lock(path_)}
{
    struct stat file{};
    const bool exists = ::lstat(path_.c_str(), &file) == 0;
    if (exists && !S_ISSOCK(file.st_mode)) {
        errno = EEXIST;
        fail(fmt::format("{} exists and is not a socket; remove it or choose another path", path_));
    }
    if (exists && find_listener(path_))
        throw AlreadyRunning{fmt::format("something else is listening at {}; stop it first, or "
                                         "choose another socket with --socket",
                                         path_)};
    if (exists)
        log::info({}, "{} is stale: replacing it", path_);
    socket_ = open();
}

// Binds a temporary file beside the path. Renames the file to the path only when the socket
// listens. Every client that finds the file can therefore connect.
UniqueFd ListeningSocket::open()
{
    const auto temporary = path_ + ".new";
    const auto address = address_of(temporary);
    ::unlink(temporary.c_str());
    auto socket = make_socket(SOCK_NONBLOCK);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail(temporary);
    // The kernel must refuse descriptors before any client can connect, because an accepted socket
    // inherits this option from the listening socket.
    if (kernel_.pass_rights && !refuse_descriptors(socket))
        fail("setsockopt(SO_PASSRIGHTS)");
    if (::chmod(temporary.c_str(), mode_) < 0 || ::listen(socket.get(), SOMAXCONN) < 0 ||
        ::lstat(temporary.c_str(), &file_) < 0 || ::rename(temporary.c_str(), path_.c_str()) < 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        errno = error;
        fail(path_);
    }
    return socket;
}

bool ListeningSocket::is_ours() const
{
    struct stat file{};
    return ::lstat(path_.c_str(), &file) == 0 && file.st_dev == file_.st_dev &&
           file.st_ino == file_.st_ino;
}

std::string socket_path(const UniqueFd& socket)
{
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        address.sun_family != AF_UNIX || size <= sizeof address.sun_family)
        return {};
    const auto length = size - offsetof(sockaddr_un, sun_path);
    // An abstract address begins with a zero byte, so its path is empty here.
    return {address.sun_path, ::strnlen(address.sun_path, length)};
}

void ListeningSocket::set_mode(mode_t mode)
{
    mode_ = mode;
    if (is_ours() && ::chmod(path_.c_str(), mode) < 0)
        log::error({}, "cannot change the mode of {}: {}", path_, std::strerror(errno));
}

ListeningSocket::~ListeningSocket()
{
    if (is_ours())
        ::unlink(path_.c_str());
}

} // namespace evfd::daemon
