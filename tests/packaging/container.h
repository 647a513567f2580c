// A Debian container with systemd as its init, in which this build's packages are installed. It
// boots once for a test program and ends with the program, even if the program is killed.
#pragma once

#include "evfd/client.h"
#include "tests/support/process.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::e2e {

class Container {
public:
    // Returns the reason why no container can boot on this machine, or nothing if one can.
    static std::optional<std::string> unavailable_reason();

    Container(); // Boots the container. Throws if the boot fails.
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    // Returns the container that exists.
    static Container& instance();

    // Returns a command that runs in the container as root. The first word of `argv` is looked up
    // in the container's PATH.
    Command command(std::vector<std::string> argv) const;
    RunResult run(std::vector<std::string> argv) const
    {
        return e2e::run(command(std::move(argv)));
    }
    // Runs a command in the container and requires success. Returns its output without the last
    // newline.
    std::string run_checked(std::vector<std::string> argv) const;
    // Installs the packages of a directory of the container. /packages has this build's packages,
    // and /packages/next has a later version of them.
    void install(std::string_view directory) const;
    // Runs a command in the container as a user without supplementary groups.
    RunResult run_as(std::string_view user, std::vector<std::string> argv) const;

    // Returns the path by which this process reaches a file of the container.
    std::string path(std::string_view path_inside) const;
    // Returns a client, in this process, of the daemon in the container.
    Client client() const
    {
        return Client{Address::at(path("/run/evfdd/io.evfdd")), default_timeout};
    }

    // Returns a property of a unit, as printed by systemctl show.
    std::string property(std::string_view unit, std::string_view name) const;
    // Writes a unit file into the container and makes systemd read it.
    void write_unit(std::string_view name, std::string_view text) const;

private:
    void boot(const std::string& image);
    void shut_down();

    TemporaryDirectory directory_;
    std::string cgroup_;
    // The process of unshare(1). Its end kills the container.
    std::optional<Process> unshare_;
    pid_t nspawn_pid_ = 0;
    pid_t init_pid_ = 0; // The pid of the container's init.
};

} // namespace evfd::e2e
