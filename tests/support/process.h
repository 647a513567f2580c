// Other processes, for the end-to-end tests: programs that are started, awaited and killed, and
// forked workers to talk with. Nothing here sleeps: whatever is awaited has a descriptor, and a
// deadline.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

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

// After so long something that was awaited will not come any more.
inline constexpr nanoseconds default_timeout = 30s;

[[noreturn]] void fail(const std::string& what); // Throws; with errno, if there is one.

// The value, or a thrown sentence: for set-up, and for workers, where Catch is not.
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

void require(bool holds, std::string_view what); // Throws if it does not.

// A directory of our own that goes with all that is in it.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_{std::exchange(other.path_, {})}
    {
    }
    TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
    std::string operator/(std::string_view name) const;

private:
    std::string path_;
};

std::string read_file(const std::string& path); // Empty if it is not there.
void write_file(const std::string& path, std::string_view text);

std::pair<UniqueFd, UniqueFd> make_pipe(); // To read from, and to write to.

// False if it did not become so before the deadline.
bool await_readable(int fd, nanoseconds timeout = default_timeout);
// Asks again and again, for what nothing rings for.
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

// How a process ended: its exit status, or minus the signal that killed it.
using Status = int;
inline constexpr Status could_not_execute = 126;

// A child of ours: killed, and reaped, at the latest when this goes.
class Process {
public:
    explicit Process(pid_t child);
    Process(Process&&) noexcept;
    Process& operator=(Process&&) = delete;
    ~Process();

    pid_t pid() const { return pid_; }
    const UniqueFd& pidfd() const { return pidfd_; } // Readable once it ended.
    void signal(int number) const;
    void stop() const; // Returns once it is stopped.
    Status wait();     // Throws if it does not end.

private:
    pid_t pid_;
    UniqueFd pidfd_;
};

// Who runs a program or does the work of a child: a user, by default in a group of his own alone.
struct User {
    uid_t uid;
    gid_t gid = uid;
    std::vector<gid_t> groups = {};
};
// From here on this process is that user, which takes root. Throws if it cannot become him.
void switch_user(const User& user);

struct Command {
    std::vector<std::string> argv;
    std::vector<std::string> environment = {};   // NAME=value to add; NAME= to leave out.
    std::optional<rlim_t> descriptor_limit = {}; // RLIMIT_NOFILE
    std::optional<User> user = {};               // For root: who runs it. See path_for_any_user().
    int standard_output = -1;                    // Each of them /dev/null, if it is not given.
    int standard_error = -1;
    std::vector<int> inherited_fds = {}; // From descriptor 3 on, as LISTEN_FDS has them.
    std::function<void()> in_child = {};
};
Process start(const Command& command);

// The program itself if every user can enter the directories above it, else a copy that every user
// can run, with a copy of the evfdd that lies beside it. The copies go with this process.
std::string path_for_any_user(const std::string& program);

struct RunResult {
    Status status;
    std::string out;
    std::string err;
};
// To its end.
RunResult run(Command command);

// A program that goes on while we read what it prints.
class OutputReader {
public:
    explicit OutputReader(Command command);
    // The next line; throws if none comes, nothing at the end of its output.
    std::optional<std::string> read_line();
    // All that comes until the end of its output.
    std::string read_to_end();
    void close_output() { output_ = {}; } // As head(1) does.
    Process& process() { return *process_; }
    Status wait() { return process_->wait(); }
    std::string errors() const { return read_file(directory_ / "stderr"); }

private:
    bool fill(); // False at the end.

    TemporaryDirectory directory_;
    UniqueFd output_;
    std::string unread_;
    std::optional<Process> process_;
};

// One end of what we and a worker talk through: numbers, whole and in order.
class WorkerSocket {
public:
    explicit WorkerSocket(UniqueFd socket) : socket_{std::move(socket)} {}
    void send(std::uint64_t number) const;
    std::uint64_t receive() const; // Throws if nothing comes, or the other end is gone.
    const UniqueFd& fd() const { return socket_; }

private:
    UniqueFd socket_;
};

// A process of its own that does `work` and ends: with status 0, unless it threw.
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

// The number of the system call that the thread sleeps in right now, and its arguments, as proc(5)
// has them; else "running".
std::string system_call_of(pid_t process, pid_t thread);
bool is_blocked_in(pid_t process, pid_t thread, long system_call);

// A user whom nobody else is, for one who may become anyone.
// One of its own for each run of the tests, so that two at a time do not meet in /tmp.
inline const uid_t unprivileged_uid = 60'600 + 2 * (static_cast<uid_t>(::getpid()) % 200);
bool is_root();
// As root, from here on this process is the stranger; a user who is not root stays who he is.
void become_unprivileged();

} // namespace evfd::e2e
