// Tests of a daemon in a user namespace. The namespace maps only some users. The kernel shows all
// other users as one uid, the overflow uid.
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>

namespace evfd::e2e {
namespace {

// Writes the text to the file. Returns whether all of the text was written.
bool write_text(const char* path, std::string_view text)
{
    const UniqueFd file{::open(path, O_WRONLY | O_CLOEXEC)};
    return file &&
           ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Enters a user namespace that maps root to root and no other user. Returns whether the process is
// now in the namespace.
bool enter_namespace()
{
    return ::unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", "0 0 1") && write_text("/proc/self/gid_map", "0 0 1");
}

void skip_unless_namespaces()
{
    skip_unless_root();
    Worker worker{[](const WorkerSocket& parent) { parent.send(enter_namespace()); }};
    const bool can = worker.receive() != 0;
    worker.wait();
    if (!can)
        skip_in_chroot("this process may not make a user namespace");
}

Command in_namespace()
{
    return {.argv = {}, .in_child = [] {
                if (!enter_namespace())
                    ::_exit(could_not_execute);
            }};
}

RunResult run_as(const DaemonProcess& daemon, uid_t uid, std::vector<std::string> words)
{
    auto command = daemon.ctl_command(std::move(words));
    command.user = User{uid};
    return run(command);
}

TEST_CASE(
    "users that the daemon's namespace does not map own nothing and have the others' permissions")
{
    skip_unless_namespaces();
    const DaemonProcess daemon{{}, in_namespace()};
    for (const auto uid : {unprivileged_uid, unprivileged_uid + 1, uid_t{65534}}) {
        for (const auto& words : {std::vector{"create"s, "secret"s, "--permissions"s, "0600"s},
                                  std::vector{"create"s, "mine"s, "--temporary"s},
                                  std::vector{"arm"s, "tick"s, "--in"s, "1h"s}}) {
            const auto refused = run_as(daemon, uid, words);
            INFO(refused.err);
            CHECK(refused.status == 4);
            CHECK(refused.err.contains("a user namespace that does not map your user"));
        }
        CHECK(run_as(daemon, uid, {"create", "user/65534/mine"}).status == 4);
    }
    daemon.checked_ctl({"create", "open", "--permissions", "0666"});
    daemon.checked_ctl({"create", "closed", "--permissions", "0660"});
    CHECK(run_as(daemon, unprivileged_uid, {"set", "open"}).status == 0);
    CHECK(run_as(daemon, unprivileged_uid + 1, {"wait", "open", "--timeout", "0"}).status == 0);
    CHECK(run_as(daemon, unprivileged_uid, {"delete", "open"}).status == 4);
    CHECK(run_as(daemon, unprivileged_uid, {"set", "closed"}).status == 4);
    CHECK(run_as(daemon, unprivileged_uid, {"list"}).out.starts_with("open\t"));
    daemon.checked_ctl({"arm", "tick", "--in", "1h", "--permissions", "0666"});
    CHECK(run_as(daemon, unprivileged_uid, {"arm", "tick", "--in", "2h"}).status == 0);
    CHECK(
        run_as(daemon, unprivileged_uid, {"arm", "tick", "--in", "2h", "--sets", "open"}).status ==
        4);
    daemon.checked_ctl({"delete", "open", "closed", "tick"});
}

TEST_CASE("the overflow uid is an ordinary user when all users are mapped")
{
    skip_unless_root();
    const DaemonProcess daemon;
    constexpr uid_t nobody = 65534;
    if (read_file("/proc/self/uid_map").find("4294967295") == std::string::npos)
        skip("this test is in a user namespace itself");
    CHECK(run_as(daemon, nobody, {"create", "mine", "--permissions", "0600"}).status == 0);
    CHECK(run_as(daemon, nobody, {"create", "user/65534/mine"}).status == 0);
    CHECK(run_as(daemon, unprivileged_uid, {"set", "mine"}).status == 4);
    CHECK(run_as(daemon, nobody, {"delete", "mine"}).status == 0);
}

} // namespace
} // namespace evfd::e2e
