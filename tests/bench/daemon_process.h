// What is measured: a daemon of our own, its clients, and a bare server to hold against it.
#pragma once

#include "evfd/client.h"
#include "tests/support/process.h"

#include <string>
#include <string_view>

namespace evfd::bench {

// An evfdd that goes with this object.
class DaemonProcess {
public:
    explicit DaemonProcess(const std::string& program);

    const std::string& path() const { return path_; }
    pid_t pid() const { return process_.pid(); }
    // A new connection.
    Client client() const { return Client{Address::at(path_)}; }

private:
    e2e::TemporaryDirectory directory_;
    std::string path_;
    e2e::Process process_;
};

// A program as packages have it, which others are as well: stripped.
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

// CPU time of a process so far.
nanoseconds cpu_time(pid_t process);
// Memory that is its own alone, in bytes.
std::int64_t private_memory(pid_t process);
// All that is in memory for it, in bytes: RSS.
std::int64_t resident_memory(pid_t process);

// One request and its answer as they go over the wire, and how many descriptors come with it: so
// that what is held against us carries as much.
struct Exchange {
    std::string request;
    std::size_t reply_bytes;
};
// Of one call of io.evfdd, its parameters as JSON.
Exchange record_exchange(const DaemonProcess& daemon, std::string_view method,
                         std::string_view parameters);

} // namespace evfd::bench
