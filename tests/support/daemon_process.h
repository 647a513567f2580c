// A daemon of one's own for each end-to-end test: the real evfdd, at a socket in a temporary
// directory, with evfdctl, library clients and bare sockets to talk to it.
#pragma once

#include "common/unique_fd.h"
#include "evfd/client.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"

#include <nlohmann/json.hpp>

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::e2e {

using Json = nlohmann::json;

// What a daemon used up to now, as /proc tells. Equal ones: it did nothing in between.
struct Usage {
    std::uint64_t ticks = 0;    // CPU time.
    std::uint64_t switches = 0; // Each system call that slept made one.
    std::uint64_t io_calls = 0; // Reads and writes.
    std::string blocked_in;     // The system call and its arguments.
    friend bool operator==(const Usage&, const Usage&) = default;
};
std::ostream& operator<<(std::ostream& out, const Usage& usage);

// The socket file's connected socket.
UniqueFd connect_to_path(const std::string& path);

// A Varlink client by hand: exactly the bytes that a test wants to send.
class WireClient {
public:
    explicit WireClient(const std::string& path) : socket_{connect_to_path(path)} {}

    // Whole; throws if the daemon does not read. That it hung up is for reply() to tell.
    void send(std::string_view bytes) const;
    // As much as the daemon takes without waiting, and how much that was.
    std::size_t send_some(std::string_view bytes) const;
    void call(std::string_view method, const Json& parameters = Json::object(),
              std::string_view flag = "") const; // Of io.evfdd.
    Json reply();                                // Throws if none comes.
    Json request(std::string_view method, const Json& parameters = Json::object());
    // What came until the daemon let us go; throws if it does not.
    std::string read_to_end();
    const UniqueFd& socket() const { return socket_; }
    std::deque<UniqueFd>& descriptors() { return descriptors_; } // That came.

private:
    bool fill(); // False at the end.

    UniqueFd socket_;
    std::string unread_;
    std::deque<UniqueFd> descriptors_;
};

class DaemonProcess {
public:
    // Clients can connect once it is there. `command` may change how it is started.
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
    // evfdctl --socket PATH and so on.
    Command ctl_command(std::vector<std::string> arguments) const;
    RunResult ctl(std::vector<std::string> arguments) const
    {
        return run(ctl_command(std::move(arguments)));
    }
    // As ctl(), which must succeed; what it printed.
    std::string checked_ctl(std::vector<std::string> arguments) const;

    // Waits until so many Wait calls wait for the name.
    bool has_waits(std::string_view name, std::int64_t count) const;
    Usage usage() const;
    bool is_idle() const; // It sleeps, and there is nothing for it to wake up for.

    void kill();    // At once, and without a word.
    void restart(); // After kill(), or the end.

private:
    TemporaryDirectory directory_;
    std::string path_;
    Command command_;
    std::optional<Process> process_;
};

// The same beneath a guard, `evfdd --guard`: as a Process it is the guard, which ends with it.
class SupervisedDaemon : public DaemonProcess {
public:
    explicit SupervisedDaemon(std::vector<std::string> options = {}, Command command = {});
    ~SupervisedDaemon();

    pid_t daemon_pid() const; // The one that there is now; 0 between two of them.
    // The daemon, at once; returns when it is gone.
    void kill_daemon() const;
    void stop_daemon() const; // Until it is killed.
};

// Processes that are not our children, by their pid.
pid_t child_of(pid_t process); // The first; 0 if it has none.
UniqueFd pidfd_of(pid_t process);
std::size_t descriptors_of(pid_t process);

// The command line of evfdd at `path` that tells by READY=1 when clients can connect.
Process start_daemon(const TemporaryDirectory& directory, Command command);

// Ends the test as skipped if we are not root: only root can do that.
void skip_unless_root(std::string_view capability = "become another user");
void skip_unless_strace();
// What strace tells of the daemon while `work` is done: its lines that are system calls.
std::vector<std::string> trace_system_calls(const DaemonProcess& daemon,
                                            const std::function<void()>& action);

// Its threads, the first of them the process itself.
std::vector<pid_t> threads_of(pid_t process);

} // namespace evfd::e2e
