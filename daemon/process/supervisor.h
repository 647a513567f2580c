// `evfdd --guard`: the parent that starts the daemon again whenever it dies, and keeps what it must
// not lose: the listening socket and the vault's descriptors, which it hands to the next one, as
// systemd does for a service. It does nothing else, so that nothing can go wrong with it.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "daemon/process/listening_socket.h"

#include <sys/types.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// The daemon's end of the socketpair through which it talks with its guard, in LISTEN_FDNAMES. No
// other process has it, so there is no address to which a stranger could send.
inline constexpr std::string_view supervisor_fd_name = "evfdd-guard";
// In the environment of a daemon that has a guard.
inline constexpr const char* supervisor_variable = "EVFDD_GUARD";
inline constexpr const char* supervisor_in_background = "background"; // Or anything else.
// What a daemon says that ends because it was told to, not because nobody was there: then the guard
// ends as well, whoever stands at the door.
inline constexpr const char* stop_requested = "X_EVFDD_TOLD_TO_END=1";

class Supervisor {
public:
    // `kernel`: what the socket makes use of. `command`: the daemon's, its program first.
    // `on_ready`: clients can connect, for the first time. Throws AlreadyRunning or
    // std::system_error.
    Supervisor(std::string socket, mode_t socket_mode, KernelFeatures kernel,
               std::vector<std::string> command, std::function<void()> on_ready);

    // Until the daemon ends by itself or because we are told to end; its exit status.
    int run();

private:
    struct StoredFd {
        std::string name;
        UniqueFd fd;
    };

    void start();
    [[noreturn]] void exec_daemon(const UniqueFd& notify_socket) const;
    void on_signals();
    void on_notify();
    void add_fds(const std::string& name, std::deque<UniqueFd> fds);
    void reap();
    void on_idle_exit();
    void schedule_restart(int status);

    ListeningSocket socket_;
    UniqueFd listening_;
    std::vector<std::string> command_;
    std::function<void()> on_ready_;
    UniqueFd signals_;
    UniqueFd notify_socket_; // Of the daemon that there is; invalid once it has closed its end.
    std::vector<StoredFd> fd_store_;
    std::vector<UniqueFd> accepted_clients_; // Clients for the next one.
    pid_t daemon_ = 0;                       // 0: none at the moment.
    bool was_ready_ = false;
    bool is_ready_ = false; // This one.
    bool is_stopping_ = false;
    int failed_starts_ = 0; // In a row, before they were ready.
    std::optional<MonotonicTime> restart_at_;
    std::optional<int> exit_status_;
};

} // namespace evfd::daemon
