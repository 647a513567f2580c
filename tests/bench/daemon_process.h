// The daemon that is measured, its memory and CPU time, and the messages of its calls.
#pragma once

#include "evfd/client.h"
#include "tests/support/process.h"

#include <string>
#include <string_view>

namespace evfd::bench {

// An evfdd process. The destructor ends the process.
class DaemonProcess {
public:
    explicit DaemonProcess(const std::string& program);

    const std::string& path() const { return path_; }
    pid_t pid() const { return process_.pid(); }
    Client client() const { return Client{Address::at(path_)}; }

private:
    e2e::TemporaryDirectory directory_;
    std::string path_;
    e2e::Process process_;
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

// Returns the CPU time that a process has used.
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
