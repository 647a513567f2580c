// The real evfdd for one end-to-end test, at a socket in a temporary directory.
//
// DaemonProcess starts evfdd and returns once clients can connect, because evfdd then sends READY=1
// to a socket of the test (sd_notify(3)). A test communicates with the daemon in three ways: by
// evfdctl (ctl() and checked_ctl()), by the library (client()), and byte by byte (WireClient).
// kill() loses all objects, because no fd store keeps the daemon's descriptors. SupervisedDaemon
// runs the daemon with a supervisor (`evfdd --supervise`), which keeps the objects when
// kill_daemon() kills the daemon.
//
// The log of the daemon is a file in the temporary directory. The destructor prints the log if the
// test fails.
#pragma once

#include "common/unique_fd.h"
#include "evfd/client.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tests/support/wire_client.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::e2e {

// The resources that a process has used since its start, according to /proc. If two readings are
// equal, the process was idle between the two readings.
struct Usage {
    std::uint64_t ticks = 0; // The CPU time in clock ticks.
    // The number of context switches. Each system call that sleeps causes a context switch.
    std::uint64_t switches = 0;
    std::uint64_t io_calls = 0; // The number of system calls that read or write.
    std::string blocked_in;     // The system call in which the process sleeps, with its arguments.
    friend bool operator==(const Usage&, const Usage&) = default;
};
std::ostream& operator<<(std::ostream& out, const Usage& usage);

class DaemonProcess {
public:
    // Starts evfdd and returns once clients can connect. `options` are options of evfdd. `command`
    // gives the daemon's environment, user and limits. The argv of `command` is ignored.
    explicit DaemonProcess(std::vector<std::string> options = {}, Command command = {});
    ~DaemonProcess();

    const std::string& path() const { return path_; }
    const TemporaryDirectory& directory() const { return directory_; }
    pid_t pid() const { return process_->pid(); }
    Process& process() { return *process_; }
    std::string log() const { return read_file(directory_ / "log"); }

    Client client(nanoseconds timeout = default_timeout) const
    {
        return Client{Address::at(path_), timeout};
    }
    // Returns the command line "evfdctl --socket PATH ...".
    Command ctl_command(std::vector<std::string> arguments) const;
    RunResult ctl(std::vector<std::string> arguments) const
    {
        return run(ctl_command(std::move(arguments)));
    }
    // Runs evfdctl, requires success and returns its output.
    std::string checked_ctl(std::vector<std::string> arguments) const;

    // Waits until `count` Wait calls are pending for the name. If the name has no object, waits
    // until the daemon has `count` waits in total. Returns false at the deadline.
    bool has_waits(std::string_view name, std::int64_t count) const;
    Usage usage() const;
    // Waits until the daemon sleeps without a timeout. Returns false at the deadline.
    bool is_idle() const;

    void kill();    // Sends SIGKILL and reaps the daemon.
    void restart(); // Starts the daemon again after kill() or after it exited.

private:
    TemporaryDirectory directory_;
    std::string path_;
    Command command_;
    std::optional<Process> process_;
};

// A daemon below a supervisor, `evfdd --supervise`. process() is the supervisor.
class SupervisedDaemon : public DaemonProcess {
public:
    explicit SupervisedDaemon(std::vector<std::string> options = {}, Command command = {});
    ~SupervisedDaemon();

    // Returns the pid of the current daemon, or 0 while no daemon runs.
    pid_t daemon_pid() const;
    // Waits for a daemon other than `previous`, and returns its pid. Without `previous`, the
    // function could return the pid of a dead daemon, which remains a child of the supervisor until
    // the supervisor reaps it.
    pid_t await_daemon_after(pid_t previous) const;
    // Sends SIGKILL to the daemon, and returns its pid once it is dead.
    pid_t kill_daemon() const;
    // Stops the daemon by SIGSTOP. The daemon stays stopped until it is killed.
    void stop_daemon() const;
};

// child_of(), pidfd_of() and descriptors_of() can inspect any process, even if the process is not a
// child of the test.
pid_t child_of(pid_t process); // Returns the pid of the first child, or 0.
UniqueFd pidfd_of(pid_t process);
std::size_t descriptors_of(pid_t process);

// Starts evfdd and returns once it has sent READY=1, which means that clients can connect.
Process start_daemon(const TemporaryDirectory& directory, Command command);

// Skips the test unless this process is root. `capability` names the action for which the test must
// be root. The reason for the skip contains `capability`.
void skip_unless_root(std::string_view capability = "become another user");
void skip_unless_strace();
// Returns the system calls that the daemon makes during `action`, as lines of strace(1).
std::vector<std::string> trace_system_calls(const DaemonProcess& daemon,
                                            const std::function<void()>& action);

// Returns the thread ids of a process, its main thread first.
std::vector<pid_t> threads_of(pid_t process);

} // namespace evfd::e2e
