// Supervisor: the process of `evfdd --supervise`. It runs the daemon as a child, restarts it when
// it crashes, and is its fd store, as systemd is for a service.
//
// The supervisor holds everything that a crash of the daemon must not lose: the listening socket
// and the state store's descriptors. It passes them to each new daemon as LISTEN_FDS. It does
// nothing else, so little can go wrong with it. It waits in ppoll(2) for two descriptors:
//
// - the socketpair to the daemon, which carries notifications in the format of sd_notify(3):
//   FDSTORE=1, FDSTOREREMOVE=1, READY=1, BARRIER=1, and stop_requested;
// - a signalfd. After SIGCHLD the supervisor reaps the daemon. It passes SIGTERM, SIGINT and SIGHUP
//   on to the daemon.
//
// The supervisor does one of these when the daemon has ended:
//
// - The daemon stopped on request, or exited before any daemon was ready. The supervisor exits with
//   the daemon's status.
// - The daemon exited with success on its own, because it was idle. The supervisor stops accepting,
//   accepts the clients that had connected meanwhile, and starts another daemon for them. If there
//   are no such clients, the supervisor exits. Unlike systemd with a socket unit, it does not wait
//   for the next client: a daemon that was started on demand must leave no process behind.
// - The daemon ended in any other way. The supervisor restarts it, at first immediately, later with
//   growing delays if the daemon keeps failing before it is ready.
//
// Invariant: only the daemon has the other end of the socketpair, so no other process can send
// notifications. Signals stay blocked in the daemon until it has its own signalfd, so no signal is
// lost.
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

// LISTEN_FDNAMES has this name for the daemon's end of the socketpair to the supervisor. The
// socketpair has no address, so no other process can send to it.
inline constexpr std::string_view supervisor_fd_name = "evfdd-supervisor";
// The environment variable that tells a daemon whether its supervisor runs in the background.
inline constexpr const char* supervisor_variable = "EVFDD_SUPERVISOR";
// The value of supervisor_variable if the supervisor runs in the background. Any other value means
// that the supervisor runs in the foreground.
inline constexpr const char* supervisor_in_background = "background";
// The daemon sends this notification when it stops on request, and not because it is idle. The
// supervisor then exits after the daemon, even if clients wait to be accepted.
inline constexpr const char* stop_requested = "X_EVFDD_STOP_REQUESTED=1";

class Supervisor {
public:
    // `kernel` says which kernel features the socket can use. `command` is the daemon's argv.
    // `on_ready` is called once, when clients can connect for the first time. Throws AlreadyRunning
    // or std::system_error.
    Supervisor(std::string socket, mode_t socket_mode, KernelFeatures kernel,
               std::vector<std::string> command, std::function<void()> on_ready);

    // Runs the daemon and restarts it as necessary. Returns the exit status for the supervisor.
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
    // The supervisor's end of the socketpair to the present daemon; invalid once the daemon has
    // closed its end.
    UniqueFd notify_socket_;
    std::vector<StoredFd> fd_store_;
    std::vector<UniqueFd> accepted_clients_; // The client connections that the next daemon gets.
    pid_t daemon_ = 0;                       // The pid of the daemon; 0 if none runs at present.
    bool was_ready_ = false;
    bool is_ready_ = false; // True if the present daemon has sent READY=1.
    bool is_stopping_ = false;
    int failed_starts_ = 0; // The number of consecutive starts that failed before READY=1.
    std::optional<MonotonicTime> restart_at_;
    std::optional<int> exit_status_;
};

} // namespace evfd::daemon
