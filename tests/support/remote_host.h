// Lets tests of `evfdctl --host` use this machine as the remote host. A script takes the place of
// ssh and runs the command in a shell of this machine, as sshd does on a remote host.
#pragma once

#include "tests/paths.h"
#include "tests/support/daemon_process.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace evfd::e2e {

inline const std::string program_directory = std::filesystem::path{EVFDD_CTL}.parent_path();

inline void write_script(const std::string& path, const std::string& text)
{
    write_file(path, "#!/bin/sh\n" + text);
    require(::chmod(path.c_str(), 0755) == 0, path);
}

class FakeRemoteHost {
public:
    // `environment` has words NAME=VALUE in the syntax of a shell. Each word sets a variable in the
    // environment of the remote command.
    explicit FakeRemoteHost(const DaemonProcess& daemon, const std::string& environment = "")
        : directory_{daemon.directory()}
    {
        write_script(ssh(), "[ \"$1\" = -- ] || exit 99\n"
                            "PATH=" +
                                program_directory + ":$PATH EVFDD_SOCKET=" + daemon.path() +
                                "\nexport PATH EVFDD_SOCKET " + environment +
                                "\necho $$ \"$2\" >>" + (directory_ / "calls") +
                                "\nexec sh -c \"exec $3\"\n");
    }
    std::string ssh() const { return directory_ / "ssh"; }
    Command ctl_command(std::vector<std::string> arguments) const
    {
        arguments.insert(arguments.begin(), {EVFDD_CTL, "--host", "me@far", "--ssh", ssh()});
        return {.argv = std::move(arguments), .environment = {"EVFDD_SOCKET=/nowhere"}};
    }
    RunResult ctl(std::vector<std::string> arguments) const
    {
        return run(ctl_command(std::move(arguments)));
    }

    struct Call {
        pid_t relay;
        std::string host;
    };
    std::vector<Call> calls() const
    {
        std::vector<Call> all;
        std::ifstream file{directory_ / "calls"};
        for (Call call; file >> call.relay >> call.host;)
            all.push_back(call);
        return all;
    }

private:
    const TemporaryDirectory& directory_;
};

} // namespace evfd::e2e
