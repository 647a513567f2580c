// The daemon that is measured, its memory and CPU time, and the messages of its calls.
//
// A benchmark measures a daemon of the first generation, which started without state, or of the
// second generation, which recovered the state of a daemon that was killed. In both cases the
// benchmark first creates its objects and then calls recover_if_requested().
#pragma once

#include "evfd/client.h"
#include "tests/support/process.h"

#include <string>
#include <string_view>

namespace evfd::bench {

enum class Generation { first, second };

struct DaemonSettings {
    std::string program;
    Generation generation = Generation::first;
    // The number of objects that each user may have. 0 means the daemon's default. A daemon that
    // refuses a quota of this size has its default quota too.
    std::int64_t objects = 0;
    // Changes to the environment: see e2e::Command.
    std::vector<std::string> environment = {};
};

// An evfdd process. The destructor ends the process.
class DaemonProcess {
public:
    explicit DaemonProcess(const DaemonSettings& settings);
    DaemonProcess(const DaemonProcess&) = delete;
    DaemonProcess& operator=(const DaemonProcess&) = delete;
    ~DaemonProcess();

    const std::string& path() const { return path_; }
    // Returns the pid of the daemon. A daemon of another generation has another pid.
    pid_t pid() const;
    Client client() const { return Client{Address::at(path_), call_timeout}; }
    // Kills the daemon if the settings ask for the second generation. Returns when the next daemon
    // has recovered the objects and answers calls. A raw connection to the old daemon has ended.
    void recover_if_requested() const;
    // Kills the daemon and returns the pid of the next one, once it has answered a call. Only for
    // settings that ask for the second generation, because only then the daemon has a supervisor.
    pid_t kill_and_recover() const;

private:
    // A daemon with a million objects can need more time than a Client allows by default.
    static constexpr std::chrono::minutes call_timeout{10};

    Generation generation_;
    e2e::TemporaryDirectory directory_;
    std::string path_;
    e2e::Process process_; // The daemon, or its supervisor.
};

// A copy of a program without debug symbols, as a package installs the program.
class StrippedProgram {
public:
    explicit StrippedProgram(const std::string& program);
    const std::string& path() const { return path_; }

private:
    e2e::TemporaryDirectory directory_;
    std::string path_;
};

UniqueFd connect_to(const std::string& path);
bool can_connect(const std::string& path);

// Returns the CPU time that a process has used. If the process is running, the time since the last
// tick is not included, at most some milliseconds.
nanoseconds cpu_time(pid_t process);
// Returns the memory that a process shares with no other process, in bytes.
std::int64_t private_memory(pid_t process);
// Returns the resident set size of a process, in bytes.
std::int64_t resident_memory(pid_t process);

// The text of a call and the size of its reply, so that the baseline can transfer as many bytes.
struct Exchange {
    std::string request;
    std::size_t reply_bytes;
};
// Makes one call of the interface io.evfdd, with its parameters in JSON. Returns the call and the
// size of its reply.
Exchange record_exchange(const DaemonProcess& daemon, std::string_view method,
                         std::string_view parameters);

} // namespace evfd::bench
