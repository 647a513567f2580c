// A listening socket that evfdd creates itself, and the file of the socket. The file is deleted
// when the ListeningSocket is destroyed.
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/kernel_features.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace evfd::daemon {

// Thrown if another process listens at the socket's path.
struct AlreadyRunning : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Returns the pid of the process that listens at `path`.
// Returns 0 if a process possibly listens but cannot be identified.
// Returns nothing if no process listens.
std::optional<pid_t> find_listener(const std::string& path);

// Returns the path that a socket is bound to, or an empty string if the socket has no path.
// getsockname(2)
std::string socket_path(const UniqueFd& socket);

class ListeningSocket {
public:
    // Binds `path` and listens. Replaces an existing socket file if no process listens at it. The
    // new file accepts connections from the moment it appears. While this object exists, it holds a
    // lock on the file `path`.lock. If the kernel has SO_PASSRIGHTS, the kernel refuses descriptors
    // that clients send. Throws AlreadyRunning or std::system_error.
    ListeningSocket(std::string path, mode_t mode, KernelFeatures kernel);
    ~ListeningSocket(); // Deletes the socket file, unless another file has replaced it.
    ListeningSocket(const ListeningSocket&) = delete;

    // Releases the socket to the caller; this object still owns the file.
    UniqueFd release() { return std::move(socket_); }
    // Changes the mode of the socket file, which decides which users may connect. Does nothing if
    // another file has replaced the socket file.
    void set_mode(mode_t mode);
    // Returns a new listening socket that replaces the old one at the same path. Throws
    // std::system_error.
    UniqueFd open();

private:
    bool is_ours() const;

    std::string path_;
    mode_t mode_;
    KernelFeatures kernel_;
    UniqueFd lock_;
    UniqueFd socket_;
    struct stat file_{};
};

} // namespace evfd::daemon
