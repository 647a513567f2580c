// Tests of evfd.h in a set-user-ID program.
#include "tests/c/fixture.h"
#include "tests/paths.h"
#include "tests/support/scripted_daemon.h"
#include "tests/support/skip.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

// A set-user-ID root program that calls the C library. The file `evfdd` in the program's directory
// is a script that creates a marker file. If the marker file exists, the program has started the
// script.
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

TEST_CASE("a set-user-ID program starts no daemon and ignores its caller's environment")
{
    skip_unless_root("create a set-user-ID root program");
    for (const auto& path : {Address::system().path, "/tmp/evfdd-0/io.evfdd"s})
        if (::access(path.c_str(), F_OK) == 0)
            skip("another daemon listens at " + path);
    const SetUserIdProgram setuid_program;
    SECTION("PATH and XDG_RUNTIME_DIR")
    {
        const auto ran = setuid_program.run_as_unprivileged(
            {"EVFDD_SOCKET=", "PATH=" + (setuid_program.directory / ""),
             "XDG_RUNTIME_DIR=" + (setuid_program.directory / "run")});
        INFO(ran.err);
        CHECK(ran.status != 0);
        CHECK_FALSE(std::filesystem::exists(setuid_program.marker));
        CHECK_FALSE(std::filesystem::exists(setuid_program.directory / "run/evfdd"));
        CHECK(ran.err.contains("set-user-ID"));
    }
    SECTION("EVFDD_SOCKET")
    {
        const ScriptedDaemon daemon;
        const auto ran = setuid_program.run_as_unprivileged(
            {"EVFDD_SOCKET=" + daemon.address().path, "XDG_RUNTIME_DIR="});
        INFO(ran.err);
        CHECK_FALSE(daemon.has_pending_connection());
    }
}

} // namespace
} // namespace evfd::e2e
