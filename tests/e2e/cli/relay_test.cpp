// Tests of evfdctl --host, for a daemon on another machine. The tests need no other machine: in the
// place of ssh(1), a script runs the remote command in a shell on this machine, as sshd(8) does.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/remote_host.h"
#include "tests/support/skip.h"

#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

TEST_CASE("a verb gives the same result over --host as locally")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    const auto [words, status, out] =
        GENERATE(table<std::vector<std::string>, Status, std::string>({
            {{"create", "e"}, 0, ""},
            {{"set", "m"}, 0, ""},
            {{"set", "m", "--oneway"}, 0, ""},
            {{"set", "missing", "--oneway"}, 0, ""},
            {{"is-set", "s"}, 0, ""},
            {{"is-set", "m"}, 1, ""},
            {{"clear", "s"}, 0, ""},
            {{"show", "nothing"}, 3, ""},
            {{"list"}, 0, "m\tevent\tmanual\tclear\t"},
            {{"chmod", "m", "0600"}, 0, ""},
            {{"wait", "--any", "m", "s"}, 0, "s\n"},
            {{"wait", "m", "--timeout", "1ms"}, 124, ""},
            {{"arm", "t", "--every", "1h"}, 0, ""},
            {{"disarm", "t"}, 3, ""},
            {{"delete", "m", "s"}, 0, ""},
            {{"status", "--json"}, 0, "{\"version\":"},
            {{"metrics"}, 0, "# "},
        }));
    CAPTURE(words);
    daemon.checked_ctl({"create", "m"});
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});

    const auto ran = remote_host.ctl(words);
    INFO(ran.err);
    CHECK(ran.status == status);
    CHECK(ran.out.starts_with(out));
    REQUIRE(remote_host.calls().size() == 1);
    CHECK(remote_host.calls().front().host == "me@far");
}

TEST_CASE("a host that looks like an option is refused")
{
    const DaemonProcess daemon;
    const auto* const host = GENERATE("-oProxyCommand=touch x", "-");
    const auto ran = run({.argv = {EVFDD_CTL, "--host="s + host, "--ssh", "/bin/true", "status"}});
    CHECK(ran.status == 2);
    CHECK(ran.err ==
          "evfdctl: '"s + host + "' is not a valid host; give one as for ssh, such as user@host\n");
}

TEST_CASE("a failed connection is reported by ssh's message and one sentence of evfdctl")
{
    const DaemonProcess daemon;
    const auto path = daemon.directory() / "broken";
    const auto [script, ssh_output, why] = GENERATE(table<std::string, std::string, std::string>({
        {"echo 'ssh: no route' >&2; exit 255", "ssh: no route\n", "ssh could not connect"},
        {"exit 127", "", "was not found; install it"},
        {"exit 3", "", "ssh exited with status 3"},
        {"echo Welcome to the far side; cat", "", "the reply is not from evfdd"},
        {"EVFDD_SOCKET=/nowhere; export EVFDD_SOCKET; exec sh -c \"" + program_directory + "/$3\"",
         "evfdctl: no evfdd answers at /nowhere: No such file or directory; start it, or name "
         "another socket with --socket or EVFDD_SOCKET\n",
         "evfdctl there found no daemon"},
    }));
    write_script(path, script + "\n");
    const auto ran = run({.argv = {EVFDD_CTL, "--host", "far", "--ssh", path, "list"}});
    CHECK(ran.status == 5);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with(ssh_output + "evfdctl: failed to connect to 'far': "));
    CHECK(ran.err.contains(why));
    CHECK(std::ranges::count(ran.err, '\n') == (ssh_output.empty() ? 1 : 2));
}

TEST_CASE("EVFDD_SSH gives the ssh command with its options if --ssh is absent")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    const auto options_file = daemon.directory() / "options";
    write_script(daemon.directory() / "with options", "echo \"$1 $2\" >" + options_file +
                                                          "; shift 2; exec " + remote_host.ssh() +
                                                          " \"$@\"\n");
    const auto command = "'" + (daemon.directory() / "with options") + "' -p 2222";
    const auto ran = run(
        {.argv = {EVFDD_CTL, "list", "--host", "far"}, .environment = {"EVFDD_SSH=" + command}});
    CHECK(ran.status == 0);
    CHECK(read_file(options_file) == "-p 2222\n");
}

TEST_CASE("the option --socket selects a remote daemon, whatever characters its path has")
{
    const DaemonProcess daemon;
    const auto unusual_path = daemon.directory() / "it's $HOME here";
    std::filesystem::create_symlink(daemon.path(), unusual_path);
    const FakeRemoteHost remote_host{daemon, "EVFDD_SOCKET=/nowhere"};
    CHECK(remote_host.ctl({"status"}).status == 5);
    CHECK(remote_host.ctl({"--socket", unusual_path, "status"}).status == 0);
    CHECK(remote_host.ctl({"--system", "relay", "--hang-up"}).status ==
          // With --system, the relay does not connect to the daemon of this test, so the relay
          // fails.
          5);
}

TEST_CASE("a relay transfers a long reply completely")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    WireClient wire{daemon.path()};
    constexpr int objects = 3'000;
    for (int i = 0; i < objects; ++i)
        REQUIRE_FALSE(
            wire.request("CreateEvent", {{"name", "n/" + std::to_string(i)}}).contains("error"));
    const auto far = remote_host.ctl({"list", "--json"});
    CHECK(far.status == 0);
    CHECK(std::ranges::count(far.out, '\n') == objects);
    CHECK(far.out == daemon.checked_ctl({"list", "--json"}));
}

TEST_CASE("set --oneway over --host is executed when evfdctl has exited")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(remote_host.ctl({"set", "--oneway", "s"}).status == 0);
        // The daemon has executed the call before evfdctl exited, so no poll is needed.
        CHECK(Json::parse(daemon.checked_ctl({"show", "s", "--json"}))["count"] == i);
    }
}

TEST_CASE("set --oneway over --host fails if the connection ends before the call has arrived")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    // This ssh relays the first call only, by which evfdctl learns that a daemon answers. It reads
    // the next three calls (Resume, Set and GetInfo) and exits.
    const auto lossy = daemon.directory() / "lossy";
    write_script(lossy, "head -z -n 1 | " + remote_host.ssh() +
                            " -- far 'evfdctl relay'\nexec head -z -n 3 >/dev/null\n");
    const auto ran =
        run({.argv = {EVFDD_CTL, "--host", "far", "--ssh", lossy, "set", "--oneway", "s"}});
    CHECK(ran.status == 5);
    CHECK(ran.err.contains("whether the call was executed is not known"));
    CHECK(Json::parse(daemon.checked_ctl({"show", "s", "--json"}))["count"] == 0);
}

TEST_CASE("a wait over --host consumes nothing after it was killed")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader waiting{remote_host.ctl_command({"wait", "s"})};
    REQUIRE(daemon.has_waits("s", 1));
    waiting.process().signal(SIGKILL);
    CHECK(waiting.wait() == -SIGKILL);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(daemon.ctl({"is-set", "s"}).status == 0);
}

TEST_CASE("a wait continues over another relay after its relay was killed")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader waiting{remote_host.ctl_command({"wait", "s"})};
    REQUIRE(daemon.has_waits("s", 1));
    for (int i = 0; i < 3; ++i) {
        const auto before = remote_host.calls();
        ::kill(before.back().relay, SIGKILL);
        // The daemon notices the death of the old relay only after a while. Until then, the daemon
        // refuses to resume evfdctl's session, and evfdctl connects again with another relay. So
        // evfdctl can start more than one new relay.
        REQUIRE(poll_until([&] { return remote_host.calls().size() > before.size(); }));
        REQUIRE(daemon.has_waits("s", 1));
    }
    daemon.checked_ctl({"set", "s"});
    CHECK(waiting.wait() == 0);
    CHECK(daemon.ctl({"is-set", "s"}).status == 1);
}

TEST_CASE("a monitor prints the whole state again after its relay was killed")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "e"});
    OutputReader monitor{remote_host.ctl_command({"monitor"})};
    CHECK(monitor.read_line() == "present\te\tmanual\tclear");
    CHECK(monitor.read_line() == "ready");
    REQUIRE(::kill(remote_host.calls().back().relay, SIGKILL) == 0);
    CHECK(monitor.read_line() == "present\te\tmanual\tclear");
    CHECK(monitor.read_line() == "ready");
    daemon.checked_ctl({"set", "e"});
    CHECK(monitor.read_line() == "changed\te\tmanual\tset");
}

TEST_CASE("a wait over --host continues after a restart of the daemon")
{
    DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    OutputReader waiting{remote_host.ctl_command({"wait", "later"})};
    REQUIRE(daemon.has_waits("later", 1));
    daemon.kill();
    daemon.restart();
    REQUIRE(daemon.has_waits("later", 1));
    daemon.checked_ctl({"create", "later", "--initial", "1"});
    CHECK(waiting.wait() == 0);
    CHECK(waiting.errors().empty());
}

TEST_CASE("on over --host runs a local command for each remote set")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore");
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{
        remote_host.ctl_command({"on", "e", "--", "/bin/sh", "-c", "echo $EVFD_NAME"})};
    for (int i = 0; i < 2; ++i) {
        REQUIRE(daemon.has_waits("e", 1));
        daemon.checked_ctl({"set", "e"});
        CHECK(runner.read_line() == "e");
    }
}

TEST_CASE("a signal ends on over --host, and no token is consumed")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader runner{remote_host.ctl_command({"on", "s", "--", "true"})};
    REQUIRE(daemon.has_waits("s", 1));
    runner.process().signal(SIGTERM);
    CHECK(runner.wait() == -SIGTERM);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(daemon.ctl({"is-set", "s"}).status == 0);
}

TEST_CASE("on over --host refuses a pulse and a timer, which need a descriptor")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    daemon.checked_ctl({"arm", "t", "--every", "1h"});
    const auto [name, what] =
        GENERATE(table<std::string, std::string>({{"p", "a pulse"}, {"t", "a timer"}}));
    const auto ran = remote_host.ctl({"on", name, "--", "true"});
    CHECK(ran.status == 4);
    CHECK(ran.err == "evfdctl: '" + name + "' is " + what +
                         ", which is counted only on its own machine; run this on 'me@far'\n");
}

TEST_CASE("the library refuses to open an object on another machine")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "e"});
    auto remote = value_or_throw(Remote::at("far"));
    remote.ssh = remote_host.ssh();
    const Client client{Address::at(std::move(remote))};
    REQUIRE(client.set(std::vector{"e"s}));
    const auto opened = client.open("e");
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::refused);
    CHECK(opened.error().message.contains("run this on 'far'"));
}

// A process of evfdctl relay, whose standard input the test writes. No evfdctl --host is involved.
class FedRelay {
public:
    explicit FedRelay(const DaemonProcess& daemon, std::vector<std::string> options = {})
        : ends_{make_pipe()}, relay_{[&] {
              options.insert(options.begin(), "relay");
              auto command = daemon.ctl_command(std::move(options));
              command.in_child = [this] { ::dup2(ends_.first.get(), STDIN_FILENO); };
              return command;
          }()}
    {
        ends_.first = {};
    }
    void send_call(const std::string& call) const
    {
        const auto frame = call + '\0';
        require(::write(ends_.second.get(), frame.data(), frame.size()) ==
                    static_cast<ssize_t>(frame.size()),
                "the relay does not read");
    }
    void end() { ends_.second = {}; }
    OutputReader& relay() { return relay_; }

private:
    std::pair<UniqueFd, UniqueFd> ends_;
    OutputReader relay_;
};

TEST_CASE("a relay transfers replies that arrive after the end of its input")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    FedRelay fed_relay{daemon};
    fed_relay.send_call(R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]}})");
    fed_relay.end();
    REQUIRE(daemon.has_waits("s", 1));
    daemon.checked_ctl({"set", "s"});
    const auto reply = fed_relay.relay().read_to_end();
    CHECK(reply.starts_with(R"({"parameters":{"fired":[{"name":"s","count":1,"index":0,"id":)"));
    CHECK(reply.ends_with("}]}}\0"s));
    CHECK(fed_relay.relay().wait() == 0);
}

TEST_CASE("relay --hang-up cancels pending calls at the end of its input")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    FedRelay fed_relay{daemon, {"--hang-up"}};
    fed_relay.send_call(R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]}})");
    REQUIRE(daemon.has_waits("s", 1));
    fed_relay.end();
    CHECK(fed_relay.relay().wait() == 0);
    CHECK(daemon.has_waits("s", 0));
}

TEST_CASE("a relay exits when nobody reads its output")
{
    const DaemonProcess daemon;
    FedRelay fed_relay{daemon};
    fed_relay.send_call(R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]}})");
    REQUIRE(daemon.has_waits("s", 1));
    fed_relay.relay().close_output();
    CHECK(fed_relay.relay().wait() == 0);
    CHECK(daemon.has_waits("s", 0));
}

TEST_CASE("a relay exits when its daemon does")
{
    DaemonProcess daemon;
    FedRelay fed_relay{daemon};
    fed_relay.send_call(R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]}})");
    REQUIRE(daemon.has_waits("s", 1));
    daemon.kill();
    CHECK(fed_relay.relay().wait() == 0);
}

TEST_CASE("a relay exits with an error when it receives a descriptor")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    FedRelay fed_relay{daemon};
    fed_relay.send_call(R"({"method":"io.evfdd.Open","parameters":{"items":[{"name":"e"}]}})");
    CHECK(fed_relay.relay().wait() == 4);
    CHECK(fed_relay.relay().read_to_end().empty());
    CHECK(fed_relay.relay().errors() ==
          "evfdctl: a descriptor came, and a relay cannot pass descriptors; open it on the "
          "daemon's own machine, or wait and set by name\n");
}

TEST_CASE("relay --again waits for a daemon that is being restarted")
{
    DaemonProcess daemon;
    daemon.kill();
    CHECK(daemon.ctl({"relay"}).status == 5);
    FedRelay fed_relay{daemon, {"--again"}};
    daemon.restart();
    fed_relay.send_call(R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}]}})");
    CHECK(daemon.has_waits("s", 1));
}

// Prepares a real ssh(1) and sshd(8). ssh starts sshd as its ProxyCommand, so the connection needs
// no TCP port.
class Sshd {
public:
    explicit Sshd(const DaemonProcess& daemon) : directory_{daemon.directory()}
    {
        // If sshd runs as root, it needs the directory /run/sshd for its chroot(2).
        ::mkdir("/run/sshd", 0755);
        for (const auto* key : {"host", "user"})
            require(run({.argv = {"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                                  directory_ / key}})
                            .status == 0,
                    "ssh-keygen");
        write_file(directory_ / "sshd_config",
                   "HostKey " + (directory_ / "host") + "\nAuthorizedKeysFile " +
                       (directory_ / "user.pub") +
                       "\nStrictModes no\nUsePAM no\nPidFile none\n"
                       "SetEnv PATH=" +
                       program_directory + ":/usr/bin:/bin EVFDD_SOCKET=" + daemon.path() + "\n");
        write_file(directory_ / "ssh_config",
                   "ProxyCommand " + std::string{path} + " -i -f " + (directory_ / "sshd_config") +
                       "\nIdentityFile " + (directory_ / "user") +
                       "\nIdentitiesOnly yes\nBatchMode yes\nStrictHostKeyChecking no\n"
                       "UserKnownHostsFile /dev/null\nLogLevel ERROR\n");
    }
    static bool is_installed() { return ::access(path, X_OK) == 0; }
    Command control(std::vector<std::string> words) const
    {
        const auto* const user = ::getpwuid(::geteuid());
        words.insert(words.begin(), {EVFDD_CTL, "--host", std::string{user->pw_name} + "@far"});
        return {.argv = std::move(words),
                .environment = {"EVFDD_SSH=ssh -F " + (directory_ / "ssh_config")}};
    }

private:
    static constexpr auto path = "/usr/sbin/sshd";
    const TemporaryDirectory& directory_;
};

TEST_CASE("evfdctl reaches a daemon through a real ssh and sshd")
{
    if (!Sshd::is_installed())
        skip("sshd is not installed");
    const DaemonProcess daemon;
    const Sshd sshd{daemon};
    const auto created = run(sshd.control({"create", "s", "--mode", "semaphore"}));
    INFO(created.err);
    REQUIRE(created.status == 0);

    OutputReader waiting{sshd.control({"wait", "--any", "s"})};
    REQUIRE(daemon.has_waits("s", 1));
    daemon.checked_ctl({"set", "s"});
    CHECK(waiting.read_line() == "s");
    CHECK(waiting.wait() == 0);

    OutputReader killed{sshd.control({"wait", "s"})};
    REQUIRE(daemon.has_waits("s", 1));
    killed.process().signal(SIGKILL);
    CHECK(killed.wait() == -SIGKILL);
    CHECK(daemon.has_waits("s", 0));
    CHECK(run(sshd.control({"show", "s"})).out == daemon.checked_ctl({"show", "s"}));
}

} // namespace
} // namespace evfd::e2e
