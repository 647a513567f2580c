// A Debian container with systemd as its init, in which this build's packages are installed. The
// test program boots the container once. The container ends with the test program, even if the
// program is killed.
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
    // Returns the reason why this machine cannot boot a container, or nothing if it can.
    static std::optional<std::string> unavailable_reason();

    Container(); // Boots the container and installs the packages. Throws an exception on failure.
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    // Returns the only container. Throws an exception if none exists.
    static Container& instance();

    // Returns a command that runs in the container as root. The program `argv[0]` is looked up in
    // the PATH of the container.
    Command command(std::vector<std::string> argv) const;
    RunResult run(std::vector<std::string> argv) const
    {
        return e2e::run(command(std::move(argv)));
    }
    // Runs a command in the container and requires success. Returns the output of the command
    // without the last newline.
    std::string run_checked(std::vector<std::string> argv) const;
    // Installs all packages that are in `directory`, which is a directory of the container.
    // /packages has the packages of this build. /packages/next has the packages of this build with
    // a higher version number.
    void install(std::string_view directory) const;
    // Runs a command in the container as a user without supplementary groups.
    RunResult run_as(std::string_view user, std::vector<std::string> argv) const;

    // Returns the path by which this process, outside of the container, can open a file of the
    // container.
    std::string path(std::string_view path_inside) const;
    // Connects this process to the daemon in the container.
    Client client() const
    {
        return Client{Address::at(path("/run/evfdd/io.evfdd")), default_timeout};
    }

    // Returns a property of a unit, as `systemctl show` prints it.
    std::string property(std::string_view unit, std::string_view name) const;
    // Writes a unit file into the container and makes systemd reload its units.
    void write_unit(std::string_view name, std::string_view text) const;

private:
    void boot(const std::string& image);
    void shut_down();

    TemporaryDirectory directory_;
    std::string cgroup_;
    // The process of unshare(1), in which the container runs. If this process ends, the container
    // is killed.
    std::optional<Process> unshare_;
    pid_t nspawn_pid_ = 0;
    pid_t init_pid_ = 0;
};

} // namespace evfd::e2e
