// Processes of the end-to-end tests: started programs and forked workers.
//
// start() runs a program from a Command: its arguments, environment, user, limits and descriptors.
// run() waits for the end of the program and returns its output. An OutputReader reads the output
// while the program runs. A Worker is a fork of the test itself: the fork executes a function and
// exchanges numbers with the test over a socketpair. switch_user() changes the user of a child.
//
// Three rules hold for all of this code:
// - Nothing sleeps for a fixed time. A test waits for a descriptor. If there is no descriptor, the
//   test polls a condition. Every wait has a deadline.
// - No process outlives its test. The destructor of Process kills and reaps the process, and the
//   kernel kills a child whose parent dies (PR_SET_PDEATHSIG).
// - Nothing here uses Catch2, because the assertions of Catch2 do not work in a forked child. A
//   failure throws an exception, which ends a test case like a failed assertion.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "evfd/error.h"
#include "tests/support/temporary_directory.h"

#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace evfd::e2e {

using namespace std::chrono_literals;
using namespace std::string_literals;

// The longest time that a test waits for one condition. A test that would hang ends after this
// time.
inline constexpr nanoseconds default_timeout = 30s;

// Throws an exception with the message `what`. If errno is not 0, the text of errno follows.
[[noreturn]] void fail(const std::string& what);

// Returns the value of `result` or throws its error. Workers and fixtures use value_or_throw(),
// because they cannot use the assertions of Catch2.
template <class T, class E>
T value_or_throw(std::expected<T, E> result)
{
    if constexpr (std::is_same_v<E, Fault>) {
        if (!result)
            throw std::runtime_error{result.error().message()};
    } else if (!result) {
        throw std::runtime_error{result.error().message};
    }
    if constexpr (!std::is_void_v<T>)
        return *std::move(result);
}

// Throws an exception with the message `what` if `holds` is false.
void require(bool holds, std::string_view what);

// Lets the benchmarks use the name evfd::e2e::TemporaryDirectory.
using evfd::TemporaryDirectory;

// Returns the contents of the file, or an empty string if the file does not exist.
std::string read_file(const std::string& path);
void write_file(const std::string& path, std::string_view text);

std::pair<UniqueFd, UniqueFd> make_pipe(); // Returns the read end, then the write end.

// Waits until the descriptor is readable. Returns false at the deadline.
bool await_readable(int fd, nanoseconds timeout = default_timeout);
// Evaluates the condition again and again until it is true. Returns false at the deadline. A test
// uses poll_until() if it has no descriptor to wait for.
template <class Condition>
bool poll_until(Condition condition)
{
    const auto deadline = monotonic_deadline(default_timeout);
    while (!condition()) {
        if (monotonic_now() > deadline)
            return false;
        std::this_thread::yield();
    }
    return true;
}

// The exit status of a process, or minus the number of the signal that killed it.
using Status = int;
inline constexpr Status could_not_execute = 126;

// A child process. The destructor kills and reaps it.
class Process {
public:
    explicit Process(pid_t child);
    Process(Process&&) noexcept;
    Process& operator=(Process&&) = delete;
    ~Process();

    pid_t pid() const { return pid_; }
    // Returns a descriptor that is readable once the process has ended.
    const UniqueFd& pidfd() const { return pidfd_; }
    void signal(int number) const;
    void stop() const; // Sends SIGSTOP and returns once the process has stopped.
    // Waits for the end of the process. Throws at the deadline.
    Status wait();

private:
    pid_t pid_;
    UniqueFd pidfd_;
};

// The user and the groups of a child process. By default the gid has the same number as the uid.
struct User {
    uid_t uid;
    gid_t gid = uid;
    std::vector<gid_t> groups = {};
};
// Changes the user of this process, which must be root. Throws on failure.
void switch_user(const User& user);

struct Command {
    std::vector<std::string> argv;
    // Changes to the environment: NAME=value sets a variable, and NAME= removes a variable.
    std::vector<std::string> environment = {};
    // The limit of open files (RLIMIT_NOFILE) of the process.
    std::optional<rlim_t> descriptor_limit = {};
    // The user of the process. If a user is given, this process must be root. The process then runs
    // the program that path_for_any_user() returns.
    std::optional<User> user = {};
    // The descriptors that become the standard output and the standard error of the process. -1
    // means /dev/null.
    int standard_output = -1;
    int standard_error = -1;
    // The descriptors that the process inherits as numbers 3, 4 and so on. If the list is not
    // empty, LISTEN_FDS and LISTEN_PID are in the environment. See sd_listen_fds(3).
    std::vector<int> inherited_fds = {};
    std::function<void()> in_child = {};
};
Process start(const Command& command);

// Returns `program` if every user can enter the directories above the program. If not, copies the
// program and evfdd to a directory that every user can enter, and returns the path of the copied
// program. The copies are removed at exit.
std::string path_for_any_user(const std::string& program);

struct RunResult {
    Status status;
    std::string out;
    std::string err;
};
// Runs a command, waits for its end and returns its output.
RunResult run(Command command);

// A running program whose output the test reads.
class OutputReader {
public:
    explicit OutputReader(Command command);
    // Returns the next line of output, or nothing at end of file. Throws at the deadline.
    std::optional<std::string> read_line();
    // Returns the output up to end of file.
    std::string read_to_end();
    // Closes the read end of the program's output pipe, as head(1) does when it has enough lines.
    void close_output() { output_ = {}; }
    Process& process() { return *process_; }
    Status wait() { return process_->wait(); }
    std::string errors() const { return read_file(directory_ / "stderr"); }

private:
    bool fill(); // Reads more output. Returns false at end of file.

    TemporaryDirectory directory_;
    UniqueFd output_;
    std::string unread_;
    std::optional<Process> process_;
};

// One end of the socketpair by which a test and its worker exchange integers. The integers arrive
// in the order in which they were sent.
class WorkerSocket {
public:
    explicit WorkerSocket(UniqueFd socket) : socket_{std::move(socket)} {}
    void send(std::uint64_t number) const;
    // Returns the next integer. Throws at the deadline and at end of file.
    std::uint64_t receive() const;
    const UniqueFd& fd() const { return socket_; }

private:
    UniqueFd socket_;
};

// A child process that calls `work` and exits with status 0, or with an error if `work` throws.
class Worker {
public:
    explicit Worker(const std::function<void(const WorkerSocket&)>& work);
    void send(std::uint64_t number) const { socket_.send(number); }
    std::uint64_t receive() const { return socket_.receive(); }
    const UniqueFd& fd() const { return socket_.fd(); }
    const Process& process() const { return process_; }
    Status wait() { return process_.wait(); }

private:
    Worker(std::pair<UniqueFd, UniqueFd> ends,
           const std::function<void(const WorkerSocket&)>& work);
    WorkerSocket socket_;
    Process process_;
};

// Returns the contents of the thread's file `syscall` in /proc: the number and the arguments of the
// system call in which the thread sleeps, or "running". See proc(5).
std::string system_call_of(pid_t process, pid_t thread);
bool is_blocked_in(pid_t process, pid_t thread, long system_call);

// A uid to which no user name belongs, for tests that run as root. Each run of the tests has its
// own uid, so that two runs do not share files in /tmp.
inline const uid_t unprivileged_uid = 60'600 + 2 * (static_cast<uid_t>(::getpid()) % 200);
bool is_root();
// If this process is root, changes its user to `unprivileged_uid`. If not, does nothing.
void become_unprivileged();

} // namespace evfd::e2e
