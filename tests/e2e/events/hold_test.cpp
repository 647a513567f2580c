// Tests of evfdctl hold, which consumes a token and runs a command. The token is returned when
// evfdctl and the command have ended, even if they were killed.
#include "tests/support/daemon_process.h"
#include "tests/support/remote_host.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <sstream>

namespace evfd::e2e {
namespace {

std::int64_t token_count(const DaemonProcess& daemon, const std::string& name = "s")
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}))["count"];
}

bool is_returned(const DaemonProcess& daemon, const std::string& name = "s")
{
    return poll_until([&] { return token_count(daemon, name) == 1; });
}

void create_event(const DaemonProcess& daemon, const std::string& mode = "semaphore",
                  const std::string& name = "s")
{
    daemon.checked_ctl({"create", name, "--mode", mode, "--initial", "1"});
}

// Creates a named pipe and returns its path. A process that opens the pipe for reading blocks until
// another process opens it for writing.
std::string make_fifo(const DaemonProcess& daemon)
{
    auto fifo = daemon.directory() / "gate";
    require(::mkfifo(fifo.c_str(), 0600) == 0, fifo);
    return fifo;
}

void open_fifo(const std::string& fifo)
{
    const auto is_open = [&] {
        return static_cast<bool>(UniqueFd{::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)});
    };
    require(poll_until(is_open), fifo);
}

// A process of evfdctl hold. Its command runs until finish() is called.
class HoldingCommand {
public:
    explicit HoldingCommand(const DaemonProcess& daemon, Command command = {})
        : fifo_{make_fifo(daemon)}, control_{start(daemon, std::move(command))}
    {
        const auto line = control_.read_line();
        require(line.has_value(), "the command was not run: " + control_.errors());
        command_ = static_cast<pid_t>(std::stol(*line));
        pidfd_ = pidfd_of(command_);
    }
    ~HoldingCommand()
    {
        if (pidfd_ && !await_readable(pidfd_.get(), 0ns))
            ::kill(command_, SIGKILL);
    }
    HoldingCommand(const HoldingCommand&) = delete;
    HoldingCommand& operator=(const HoldingCommand&) = delete;

    OutputReader& control() { return control_; }
    pid_t command() const { return command_; }
    // Lets the command exit, and returns after it has exited.
    void finish() const
    {
        open_fifo(fifo_);
        require(await_readable(pidfd_.get()), "the command does not end");
    }

private:
    OutputReader start(const DaemonProcess& daemon, Command command)
    {
        auto words = daemon
                         .ctl_command({"hold", "s", "--", "/bin/sh", "-c",
                                       "echo $$; exec cat \"" + fifo_ + "\""})
                         .argv;
        command.argv = std::move(words);
        return OutputReader{std::move(command)};
    }

    std::string fifo_;
    OutputReader control_;
    pid_t command_ = 0;
    UniqueFd pidfd_;
};

TEST_CASE("hold consumes a token for the life of its command and returns it at the end")
{
    const auto mode = GENERATE("semaphore"s, "auto"s);
    const DaemonProcess daemon;
    create_event(daemon, mode);
    for (int i = 0; i < 20; ++i) {
        const auto ran = daemon.ctl(
            {"hold", "s", "--timeout", "0", "--", "/bin/sh", "-c", "echo \"$EVFD_NAME\"; exit 7"});
        CHECK(ran.status == 7);
        CHECK(ran.out == "s\n");
        CHECK(ran.err.empty());
    }
    {
        HoldingCommand holder{daemon};
        CHECK(token_count(daemon) == 0);
        holder.finish();
        CHECK(holder.control().wait() == 0);
    }
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("hold waits for a held token, at most for its timeout")
{
    const DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    const auto late = daemon.ctl({"hold", "s", "--timeout", "1ms", "--", "echo", "too early"});
    CHECK(late.status == 124);
    CHECK(late.out.empty());

    auto next = start(daemon.ctl_command({"hold", "s", "--", "true"}));
    REQUIRE(daemon.has_waits("s", 1));
    holder.finish();
    CHECK(next.wait() == 0);
    CHECK(holder.control().wait() == 0);
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("the token is returned when the command is killed")
{
    const DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    REQUIRE(::kill(holder.command(), SIGKILL) == 0);
    CHECK(holder.control().wait() == 128 + SIGKILL);
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("the command keeps the token when evfdctl is killed, and returns it at its end")
{
    const DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    holder.control().process().signal(SIGKILL);
    CHECK(holder.control().wait() == -SIGKILL);
    CHECK(daemon.ctl({"hold", "s", "--timeout", "50ms", "--", "true"}).status == 124);
    holder.finish();
    CHECK(is_returned(daemon));
}

TEST_CASE("a background process of the command does not keep the token")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto fifo = make_fifo(daemon);
    CHECK(daemon.ctl({"hold", "s", "--", "/bin/sh", "-c", "cat \"$0\" > /dev/null 2>&1 &", fifo})
              .status == 0);
    CHECK(token_count(daemon) == 1);
    open_fifo(fifo);
}

TEST_CASE("a command inherits no socket and no anonymous descriptor of evfdctl")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto ran = daemon.ctl({"hold", "s", "--", "/bin/sh", "-c",
                                 // The script prints each descriptor above 2 that is not a regular
                                 // file, directory, character device or pipe. It would therefore
                                 // print a socket, an eventfd or another anonymous descriptor.
                                 "for fd in /proc/$$/fd/*; do test ${fd##*/} -le 2 || ! test -e "
                                 "$fd || test -f $fd || test -d $fd || "
                                 "test -c $fd || test -p $fd || echo $fd; done; echo ran"});
    CHECK(ran.status == 0);
    CHECK(ran.out == "ran\n");
}

TEST_CASE("a background process of a killed command does not keep the token")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto fifo = make_fifo(daemon);
    OutputReader control{
        daemon.ctl_command({"hold", "s", "--", "/bin/sh", "-c",
                            "cat \"$0\" > /dev/null 2>&1 & echo $$; exec cat \"$0\"", fifo})};
    const auto line = control.read_line();
    REQUIRE(line);
    control.process().signal(SIGKILL);
    CHECK(control.process().wait() == -SIGKILL);
    CHECK(token_count(daemon) == 0);
    REQUIRE(::kill(static_cast<pid_t>(std::stol(*line)), SIGKILL) == 0);
    CHECK(is_returned(daemon));
    open_fifo(fifo);
}

TEST_CASE("a stopped evfdctl keeps the token until it continues")
{
    const DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    holder.control().process().signal(SIGSTOP);
    holder.finish();
    CHECK(token_count(daemon) == 0);
    CHECK(daemon.ctl({"hold", "s", "--timeout", "1ms", "--", "true"}).status == 124);
    holder.control().process().signal(SIGCONT);
    CHECK(holder.control().wait() == 0);
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("an evfdctl killed during its wait consumes nothing and leaves no wait behind")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    auto waiting = start(daemon.ctl_command({"hold", "s", "--", "echo", "never"}));
    REQUIRE(daemon.has_waits("s", 1));
    waiting.signal(SIGKILL);
    CHECK(waiting.wait() == -SIGKILL);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("the token is returned when evfdctl and its command are killed")
{
    const DaemonProcess daemon;
    create_event(daemon);
    Command command;
    command.in_child = [] { ::setpgid(0, 0); };
    HoldingCommand holder{daemon, std::move(command)};
    REQUIRE(::kill(-holder.control().process().pid(), SIGKILL) == 0);
    CHECK(holder.control().wait() == -SIGKILL);
    CHECK(is_returned(daemon));
}

TEST_CASE("hold forwards a signal to its command and ends as the command does")
{
    const auto number = GENERATE(SIGTERM, SIGINT, SIGHUP);
    const DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    holder.control().process().signal(number);
    CHECK(holder.control().wait() == -number);
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("hold ends with the status of a command that handles the signal")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto fifo = make_fifo(daemon);
    OutputReader control{daemon.ctl_command(
        {"hold", "s", "--", "/bin/sh", "-c",
         "cat \"$0\" > /dev/null & trap 'exit 9' TERM; echo ready; wait", fifo})};
    REQUIRE(control.read_line() == "ready");
    control.process().signal(SIGTERM);
    CHECK(control.wait() == 9);
    CHECK(token_count(daemon) == 1);
    open_fifo(fifo);
}

TEST_CASE("a signal ends hold during its wait, and no token is consumed")
{
    const auto number = GENERATE(SIGTERM, SIGINT, SIGHUP);
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    auto waiting = start(daemon.ctl_command({"hold", "s", "--", "echo", "never"}));
    REQUIRE(daemon.has_waits("s", 1));
    waiting.signal(number);
    CHECK(waiting.wait() == -number);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("hold reports invalid arguments and runs nothing")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "m", "--initial", "1"});
    create_event(daemon);
    const auto [words, status, expected] =
        GENERATE(table<std::vector<std::string>, int, std::string>({
            {{"m", "--", "echo", "run"}, 7, "not an auto event or a semaphore"},
            {{"a//b", "--", "echo", "run"}, 2, "name"},
            {{"s", "--timeout", "soon", "--", "echo", "run"}, 2, "duration"},
            {{"s"}, 2, "missing"},
            {{"s", "--", "/nowhere/is/this"}, 127, "cannot be started"},
            {{"s", "--", "/"}, 126, "cannot be started"},
        }));
    auto all = std::vector{"hold"s};
    all.insert(all.end(), words.begin(), words.end());
    const auto ran = daemon.ctl(all);
    CHECK(ran.status == status);
    CHECK(ran.out.empty());
    CHECK(ran.err.contains(expected));
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("a program holds a token until its Hold is destroyed or released")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto client = daemon.client();
    {
        const auto hold = client.hold("s");
        REQUIRE(hold);
        CHECK(token_count(daemon) == 0);
        const auto second = client.hold("s", nanoseconds{0});
        REQUIRE_FALSE(second);
        CHECK(second.error().code == ErrorCode::timed_out);
    }
    CHECK(token_count(daemon) == 1);
    auto hold = client.hold("s", nanoseconds{0});
    REQUIRE(hold);
    CHECK(hold->release());
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("a hold of a process or a session survives kills of the daemon")
{
    const auto holder = GENERATE(evfd::Holder::process, evfd::Holder::session);
    const SupervisedDaemon supervised;
    create_event(supervised);
    auto hold = value_or_throw(supervised.client().hold("s", {}, holder));
    for (int i = 0; i < 2; ++i) {
        supervised.kill_daemon();
        CHECK(token_count(supervised) == 0);
    }
    CHECK(hold.release());
    CHECK(token_count(supervised) == 1);
}

TEST_CASE("a token is returned when the program that holds it exits")
{
    const auto holder = GENERATE(evfd::Holder::process, evfd::Holder::session);
    const DaemonProcess daemon;
    create_event(daemon);
    const auto client = daemon.client();
    Worker worker{[&](const WorkerSocket& parent) {
        const auto hold = value_or_throw(client.hold("s", {}, holder));
        parent.send(1);
        parent.receive();
        ::_exit(7);
    }};
    worker.receive();
    CHECK(token_count(daemon) == 0);
    worker.send(1);
    CHECK(worker.wait() == 7);
    CHECK(is_returned(daemon));
}

TEST_CASE("a joined hold is returned when both holders have exited")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto client = daemon.client();
    const auto id_file = daemon.directory() / "id";
    const auto report_and_wait = [&](const WorkerSocket& parent, const Hold& hold) {
        write_file(id_file, hold.id());
        parent.send(1);
        parent.receive();
        ::_exit(0); // _exit(2) runs no destructor, so the library does not release the hold.
    };
    Worker first{[&](const WorkerSocket& parent) {
        report_and_wait(parent, value_or_throw(client.hold("s")));
    }};
    first.receive();
    const auto id = read_file(id_file);
    Worker second{[&](const WorkerSocket& parent) {
        report_and_wait(parent, value_or_throw(client.join(id)));
    }};
    second.receive();
    CHECK(read_file(id_file) == id);
    first.send(1);
    CHECK(first.wait() == 0);
    CHECK(token_count(daemon) == 0);
    second.send(1);
    CHECK(second.wait() == 0);
    CHECK(is_returned(daemon));
    const auto late = client.join(id);
    REQUIRE_FALSE(late);
    CHECK(late.error().message.contains("there is no such hold"));
}

TEST_CASE("a hold cannot be released twice")
{
    const DaemonProcess daemon;
    create_event(daemon);
    auto hold = value_or_throw(daemon.client().hold("s"));
    CHECK(hold.release());
    const auto again = hold.release();
    REQUIRE_FALSE(again);
    CHECK(again.error().code == ErrorCode::invalid);
}

TEST_CASE("a child process cannot release its parent's hold")
{
    const DaemonProcess daemon;
    create_event(daemon);
    const auto client = daemon.client();
    auto hold = client.hold("s");
    REQUIRE(hold);
    Worker child{
        [&](const WorkerSocket&) { require(!hold->release(), "the child released the hold"); }};
    CHECK(child.wait() == 0);
    CHECK(token_count(daemon) == 0);
    CHECK(hold->release());
    CHECK(token_count(daemon) == 1);
}

TEST_CASE("a hold over --host belongs to evfdctl's session and ends with it")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    create_event(daemon);
    CHECK(remote_host.ctl({"hold", "s", "--", "/bin/sh", "-c", "exit 7"}).status == 7);
    CHECK(token_count(daemon) == 1);
    const auto fifo = make_fifo(daemon);
    OutputReader control{remote_host.ctl_command(
        {"hold", "s", "--", "/bin/sh", "-c", "echo ready; exec cat \"" + fifo + "\""})};
    REQUIRE(control.read_line() == "ready");
    CHECK(token_count(daemon) == 0);
    control.process().signal(SIGKILL);
    CHECK(control.wait() == -SIGKILL);
    CHECK(is_returned(daemon));
    open_fifo(fifo);
}

TEST_CASE("a held token stays held over kills of the daemon and is returned once")
{
    const SupervisedDaemon supervised;
    create_event(supervised);
    {
        HoldingCommand holder{supervised};
        for (int i = 0; i < 3; ++i) {
            supervised.kill_daemon();
            CHECK(token_count(supervised) == 0);
        }
        CHECK(supervised.ctl({"hold", "s", "--timeout", "1ms", "--", "true"}).status == 124);
        holder.finish();
        CHECK(holder.control().wait() == 0);
        CHECK(holder.control().errors().empty());
    }
    CHECK(token_count(supervised) == 1);
    supervised.kill_daemon();
    CHECK(token_count(supervised) == 1);
}

TEST_CASE("a held token is returned when its holder is killed together with the daemon")
{
    const TemporaryDirectory place;
    const auto config = place / "evfdd.json";
    write_file(config, R"({"resumeGrace": "100ms"})");
    const SupervisedDaemon supervised{{"--config", config}};
    create_event(supervised);
    HoldingCommand holder{supervised};
    SECTION("evfdctl and its command after the daemon")
    {
        // Stops the command and evfdctl, which hold the token, so that they cannot send anything
        // when the daemon is killed.
        REQUIRE(::kill(holder.command(), SIGSTOP) == 0);
        holder.control().process().signal(SIGSTOP);
        supervised.kill_daemon();
        REQUIRE(::kill(holder.command(), SIGKILL) == 0);
        holder.control().process().signal(SIGKILL);
        CHECK(holder.control().wait() == -SIGKILL);
    }
    SECTION("evfdctl before the daemon, and its command after")
    {
        holder.control().process().signal(SIGKILL);
        CHECK(holder.control().wait() == -SIGKILL);
        supervised.kill_daemon();
        CHECK(token_count(supervised) == 0);
        supervised.kill_daemon();
        CHECK(supervised.ctl({"hold", "s", "--timeout", "200ms", "--", "true"}).status == 124);
        holder.finish();
    }
    CHECK(is_returned(supervised));
    CHECK(token_count(supervised) == 1);
}

TEST_CASE("hold warns that the token was not held to the end when a daemon without state replaced "
          "its own")
{
    DaemonProcess daemon;
    create_event(daemon);
    HoldingCommand holder{daemon};
    daemon.kill();
    daemon.restart();
    holder.finish();
    CHECK(holder.control().wait() == 0);
    CHECK(holder.control().errors().contains("'s' may not have been held to the end"));
}

TEST_CASE("twenty holders of a lock never overlap while the daemon is killed repeatedly")
{
    const auto mode = GENERATE("auto"s, "semaphore"s);
    const SupervisedDaemon supervised;
    create_event(supervised, mode, "lock");
    const auto records = supervised.directory() / "book";
    const auto script = "echo begin $$ >> \"$0\"; \"$1\" --socket \"$2\" status > /dev/null; "
                        "echo end $$ >> \"$0\"";
    constexpr int holders = 20;
    std::deque<Process> all;
    for (int i = 0; i < holders; ++i) {
        auto command =
            supervised.ctl_command({"hold", "lock", "--", "/bin/sh", "-c", script, records});
        command.argv.push_back(command.argv.front());
        command.argv.push_back(supervised.path());
        all.push_back(start(command));
    }
    const auto written = [&] {
        const auto text = read_file(records);
        return std::ranges::count(text, '\n');
    };
    // Kills the daemon after every fourth line in the file `records`, so that the kills are spread
    // over the run.
    for (int i = 1; i < 8; ++i) {
        REQUIRE(poll_until([&] { return written() >= i * 4; }));
        supervised.kill_daemon();
    }
    for (auto& one : all)
        CHECK(one.wait() == 0);

    std::istringstream lines{read_file(records)};
    std::string begin, end, holder_pid, same_pid;
    int pairs = 0;
    while (lines >> begin >> holder_pid >> end >> same_pid) {
        ++pairs;
        CHECK(begin == "begin");
        CHECK(end == "end");
        CHECK(holder_pid == same_pid);
    }
    CHECK(pairs == holders);
    CHECK(token_count(supervised, "lock") == 1);
}

} // namespace
} // namespace evfd::e2e
