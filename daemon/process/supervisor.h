// Supervisor: the process of `evfdd --supervise`. It runs the daemon as a child, restarts it when
// it crashes, and is its fd store, as systemd is for a service.
//
// The supervisor holds everything that a crash of the daemon must not lose: the listening socket
// and the state store's descriptors. It passes them to each new daemon as LISTEN_FDS. It does
// nothing else, so little can go wrong with it. It waits in ppoll(2) for two descriptors:
//
// - the socketpair to the daemon, which carries notifications in the format of sd_notify(3):
//   FDSTORE=1, FDSTOREREMOVE=1, READY=1, BARRIER=1, and stop_requested;
// - a signalfd. SIGCHLD reaps the daemon; the supervisor passes SIGTERM, SIGINT and SIGHUP on to
//   it.
//
// The supervisor decides by the way the daemon ended:
//
// - It exits with the daemon's status if the daemon was told to stop, or exited before any daemon
//   was ready.
// - The daemon exited with success on its own: it was idle. The supervisor stops accepting, accepts
//   the clients that had connected meanwhile, and starts another daemon for them; without any, it
//   exits. It does not wait for a client, as systemd does for a socket unit, because a daemon that
//   was started on demand leaves no process behind.
// - Every other end is a failure: the supervisor restarts the daemon, at first immediately, later
//   with growing delays if the daemon keeps failing before it is ready.
//
// What must hold: only the daemon has the other end of the socketpair, so no other process can send
// notifications. Signals stay blocked in the daemon until it has its own signalfd, so none is lost.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "daemon/base/log.h"
#include "daemon/process/listening_socket.h"

#include <sys/types.h>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// Name in LISTEN_FDNAMES of the daemon's end of the socketpair. The socketpair has no address, so
// no other process can send to it.
inline constexpr std::string_view supervisor_fd_name = "evfdd-supervisor";
// Environment variable of a supervised daemon.
inline constexpr const char* supervisor_variable = "EVFDD_SUPERVISOR";
// Its value for a supervisor in the background. Any other value means foreground.
inline constexpr const char* supervisor_in_background = "background";
// Notification of a daemon that stops on request rather than because it is idle. The supervisor
// then exits as well, even if clients are waiting to be accepted.
inline constexpr const char* stop_requested = "X_EVFDD_STOP_REQUESTED=1";

class Supervisor {
public:
    // `kernel`: the features that the socket may use. `command`: the daemon's argv. `on_ready`:
    // called when clients can connect for the first time. Throws AlreadyRunning or
    // std::system_error.
    Supervisor(std::string socket, mode_t socket_mode, KernelFeatures kernel,
               std::vector<std::string> command, std::function<void()> on_ready);

    // Runs until the daemon stops for good. Returns the exit status.
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

    log::Limited log_;
    ListeningSocket socket_;
    UniqueFd listening_;
    std::vector<std::string> command_;
    std::function<void()> on_ready_;
    UniqueFd signals_;
    // Socketpair to the present daemon; invalid once the daemon has closed its end.
    UniqueFd notify_socket_;
    std::vector<StoredFd> fd_store_;
    std::vector<UniqueFd> accepted_clients_; // Clients for the next daemon.
    pid_t daemon_ = 0;                       // 0: none at present.
    bool was_ready_ = false;
    bool is_ready_ = false; // The present daemon has sent READY=1.
    bool is_stopping_ = false;
    int failed_starts_ = 0; // Consecutive ends before READY=1.
    std::optional<MonotonicTime> restart_at_;
    std::optional<int> exit_status_;
};

} // namespace evfd::daemon
