// The listening socket and its file: created for this daemon alone, and removed with it.
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/kernel_features.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace evfd::daemon {

// Another process listens at the socket's path.
struct AlreadyRunning : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Returns the process that listens at `path`; 0 if one may listen that cannot be identified;
// nothing if none does.
std::optional<pid_t> find_listener(const std::string& path);

// Returns the path that a socket is bound to; empty if it has none. getsockname(2)
std::string socket_path(const UniqueFd& socket);

class ListeningSocket {
public:
    // Binds `path` and listens. Replaces a socket file on which nobody listens any more. The new
    // file accepts connections from the moment it appears. A lock file, `path`.lock, is held
    // meanwhile. The kernel refuses descriptors that clients send, if it can. Throws AlreadyRunning
    // or std::system_error.
    ListeningSocket(std::string path, mode_t mode, KernelFeatures kernel);
    ~ListeningSocket(); // Removes the file if it is still ours.
    ListeningSocket(const ListeningSocket&) = delete;
    ListeningSocket& operator=(const ListeningSocket&) = delete;

    // Releases the socket to the caller; this object still owns the file.
    UniqueFd release() { return std::move(socket_); }
    // Changes the file's mode, which decides who may connect, if the file is still ours.
    void set_mode(mode_t mode);
    // Returns a new socket that replaces the old one at the same path. Throws std::system_error.
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
