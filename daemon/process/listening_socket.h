// The socket file at which clients find us: ours alone, and gone when we go.
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/kernel_features.h"

#include <sys/stat.h>
#include <sys/types.h>

#include <optional>
#include <stdexcept>
#include <string>

namespace evfd::daemon {

// Another daemon is there and alive.
struct AlreadyRunning : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The process that listens at `path`; 0 if one may, but which cannot be seen; nothing if none does.
std::optional<pid_t> find_listener(const std::string& path);

// The path at which a socket listens; empty if it has none. getsockname(2)
std::string socket_path(const UniqueFd& socket);

class ListeningSocket {
public:
    // Binds `path` and listens. A socket file that nobody listens on any more is replaced; the one
    // at `path` answers from the moment it is there. A lock file beside it, `path`.lock, is held.
    // Throws AlreadyRunning or std::system_error.
    // The kernel refuses descriptors that clients send, if it can.
    ListeningSocket(std::string path, mode_t mode, KernelFeatures kernel);
    ~ListeningSocket(); // Removes the file if it is still this one.
    ListeningSocket(const ListeningSocket&) = delete;
    ListeningSocket& operator=(const ListeningSocket&) = delete;

    // Whose ownership goes to the caller; the file stays ours.
    UniqueFd release() { return std::move(socket_); }
    // Who may connect from now on, if the file is still this one.
    void set_mode(mode_t mode);
    // Another one, at the same path from now on. Throws std::system_error.
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
