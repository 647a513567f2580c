// evfd.h in a program that runs as another user than its caller.
#include "tests/c/fixture.h"
#include "tests/paths.h"
#include "tests/support/scripted_daemon.h"
#include "tests/support/skip.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

// A program that is root whoever runs it; in its directory an `evfdd` that leaves a mark.
struct SetUserIdProgram {
    SetUserIdProgram()
    {
        std::filesystem::copy_file(EVFDD_C11_PROGRAM, program);
        write_file(directory / "evfdd", "#!/bin/sh\n: > " + marker + "\n");
        for (const auto& one : {directory / "", directory / "evfdd"})
            require(::chmod(one.c_str(), 0755) == 0, one);
        require(::chown(program.c_str(), 0, 0) == 0, program);
        require(::chmod(program.c_str(), 04755) == 0, program);
        require(::mkdir((directory / "run").c_str(), 0777) == 0, "run");
        require(::chmod((directory / "run").c_str(), 0777) == 0, "run");
    }
    RunResult run_as_unprivileged(std::vector<std::string> environment) const
    {
        return run({.argv = {program, "at once"},
                    .environment = std::move(environment),
                    .user = User{unprivileged_uid}});
    }

    TemporaryDirectory directory;
    std::string program = directory / "program";
    std::string marker = directory / "mark";
};

TEST_CASE("a set-user-ID program starts nothing, and goes by nothing that its caller says")
{
    skip_unless_root("make a program that runs as root");
    for (const auto& usual : {Address::system().path, "/tmp/evfdd-0/io.evfdd"s})
        if (::access(usual.c_str(), F_OK) == 0)
            skip("a daemon of this machine is at " + usual);
    const SetUserIdProgram secure;
    SECTION("where to look for what it starts")
    {
        const auto ran =
            secure.run_as_unprivileged({"EVFDD_SOCKET=", "PATH=" + (secure.directory / ""),
                                        "XDG_RUNTIME_DIR=" + (secure.directory / "run")});
        INFO(ran.err);
        CHECK(ran.status != 0);
        CHECK_FALSE(std::filesystem::exists(secure.marker));
        CHECK_FALSE(std::filesystem::exists(secure.directory / "run/evfdd"));
        CHECK(ran.err.contains("set-user-ID"));
    }
    SECTION("which daemon")
    {
        const ScriptedDaemon daemon;
        const auto ran = secure.run_as_unprivileged(
            {"EVFDD_SOCKET=" + daemon.address().path, "XDG_RUNTIME_DIR="});
        INFO(ran.err);
        CHECK_FALSE(daemon.has_pending_connection());
    }
}

} // namespace
} // namespace evfd::e2e
