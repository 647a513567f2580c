// A Debian container with systemd as its init, in which this build's packages are installed. It
// boots once for a test program, and ends with the program, even if that is killed.
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
    // Returns the reason why no container can be booted here, if there is one.
    static std::optional<std::string> unavailable_reason();

    Container(); // Boots it; throws if that fails.
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    static Container& instance(); // The existing container.

    // Returns a command that runs in the container as root; its PATH is searched for the first
    // word.
    Command command(std::vector<std::string> argv) const;
    RunResult run(std::vector<std::string> argv) const
    {
        return e2e::run(command(std::move(argv)));
    }
    // Like run(); the command must succeed. Returns its output without the last newline.
    std::string run_checked(std::vector<std::string> argv) const;
    // Installs the packages of a directory: /packages, or /packages/next for a later version of
    // them.
    void install(std::string_view directory) const;
    // Like run(), as a user without groups.
    RunResult run_as(std::string_view user, std::vector<std::string> argv) const;

    // Returns the path by which this process reaches a file of the container.
    std::string path(std::string_view path_inside) const;
    // Returns a client in this process of the daemon in the container.
    Client client() const
    {
        return Client{Address::at(path("/run/evfdd/io.evfdd")), default_timeout};
    }

    // Returns a property of a unit, as printed by systemctl show.
    std::string property(std::string_view unit, std::string_view name) const;
    void write_unit(std::string_view name, std::string_view text) const; // Also reloads systemd.

private:
    void boot(const std::string& image);
    void shut_down();

    TemporaryDirectory directory_;
    std::string cgroup_;
    std::optional<Process> unshare_; // unshare(1), whose end kills the container.
    pid_t nspawn_pid_ = 0;
    pid_t init_pid_ = 0; // The pid of its init.
};

} // namespace evfd::e2e
