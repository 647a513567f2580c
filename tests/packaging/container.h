// A Debian in a container, with systemd as its init and this build's packages installed: booted
// once for a whole test program, and gone with it however it ends.
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
    // Why none can be booted here, if so.
    static std::optional<std::string> unavailable_reason();

    Container(); // Booted. Throws if it does not come up.
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    static Container& instance(); // While one lives.

    // In it, as root; the first word is looked up in its PATH.
    Command command(std::vector<std::string> words) const;
    RunResult run(std::vector<std::string> words) const
    {
        return e2e::run(command(std::move(words)));
    }
    // As run(), which must succeed; what it printed, without the end of its last line.
    std::string run_checked(std::vector<std::string> words) const;
    // The packages that lie there: /packages, or /packages/next for the same as a later version.
    void install(std::string_view place) const;
    // As run(), as a user without groups.
    RunResult run_as(std::string_view user, std::vector<std::string> words) const;

    // Of a file of it, for us.
    std::string path(std::string_view inside) const;
    // Out here, talking to the daemon in there.
    Client client() const
    {
        return Client{Address::at(path("/run/evfdd/io.evfdd")), default_timeout};
    }

    // A property of a unit, as systemctl show has it.
    std::string property(std::string_view unit, std::string_view name) const;
    void write_unit(std::string_view name, std::string_view text) const; // And tells systemd.

private:
    void boot(const std::string& image);
    void shut_down();

    TemporaryDirectory directory_;
    std::string cgroup_;             // Its cgroup.
    std::optional<Process> unshare_; // Takes all of it along when it goes.
    pid_t nspawn_pid_ = 0;
    pid_t init_pid_ = 0; // Its init.
};

} // namespace evfd::e2e
