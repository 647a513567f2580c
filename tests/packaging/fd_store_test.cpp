// Tests that events, subscriptions and sessions survive restarts of the service, because systemd's
// fd store keeps the daemon's descriptors.
#include "tests/packaging/container.h"
#include "tests/support/catch.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr auto service = "evfdd.service";

std::string property(std::string_view name)
{
    return Container::instance().property(service, name);
}

void run_evfdctl(std::vector<std::string> argv)
{
    argv.insert(argv.begin(), {"evfdctl", "--system"});
    Container::instance().run_checked(std::move(argv));
}

// Returns the log lines of the service after the position `cursor` of systemd's journal. If
// `cursor` is empty, returns all log lines of the service.
std::string journal(const std::string& cursor)
{
    return Container::instance().run_checked({"journalctl", "--unit", service, "--no-pager",
                                              "--output", "cat", "--after-cursor", cursor});
}

std::string journal_cursor()
{
    const auto text = Container::instance().run_checked(
        {"journalctl", "--no-pager", "--lines", "1", "--show-cursor", "--output", "cat"});
    const auto key = "-- cursor: "s;
    return text.substr(text.rfind(key) + key.size());
}

bool log_contains(const std::string& cursor, const std::string& text)
{
    return poll_until([&] { return journal(cursor).contains(text); });
}

// Objects that must still work after a restart of the daemon. The constructor opens descriptors of
// the objects and starts a command that waits for an event. After a restart, a test calls
// check_all_work(), which changes the objects by evfdctl, and checks that the descriptors and the
// command notice the changes.
class LiveObjects {
public:
    LiveObjects()
    {
        (void)value_or_throw(client_.create("kept/event"));
        (void)value_or_throw(
            client_.create("kept/tokens", {.mode = Mode::semaphore, .initial = 3}));
        (void)value_or_throw(client_.create("kept/pulse", {.mode = Mode::pulse}));
        (void)value_or_throw(client_.create("kept/mine", {.lifetime = Lifetime::session}));
        (void)value_or_throw(client_.arm("kept/timer", {.after = 1h}));
        event_.emplace(value_or_throw(client_.open("kept/event")));
        tokens_.emplace(value_or_throw(client_.open("kept/tokens")));
        pulse_.emplace(value_or_throw(client_.open("kept/pulse")));
        timer_.emplace(value_or_throw(client_.open_timer("kept/timer")));
        REQUIRE(value_or_throw(tokens_->wait(0ns)) == 1);
        waiting_.emplace(
            Container::instance().command({"evfdctl", "--system", "wait", "kept/event"}));
        REQUIRE(poll_until([&] { return value_or_throw(client_.show("kept/event")).waits == 1; }));
    }
    ~LiveObjects()
    {
        Container::instance().run({"evfdctl", "--system", "delete", "kept/event", "kept/tokens",
                                   "kept/pulse", "kept/mine", "kept/timer"});
    }
    void check_all_work()
    {
        CHECK(property("NFileDescriptorStore") == "4");
        run_evfdctl({"set", "kept/event"});
        CHECK(value_or_throw(event_->wait(default_timeout)) == 1);
        CHECK(waiting_->wait() == 0);

        CHECK(value_or_throw(client_.show("kept/tokens")).count == std::int64_t{2});
        run_evfdctl({"set", "kept/tokens"});
        CHECK(value_or_throw(tokens_->wait(0ns)) == 1);
        CHECK(value_or_throw(client_.show("kept/tokens")).count == std::int64_t{2});

        run_evfdctl({"set", "kept/pulse", "--count", "2"});
        CHECK(value_or_throw(pulse_->wait(default_timeout)) == 2);
        run_evfdctl({"arm", "kept/timer", "--in", "1ms"});
        CHECK(value_or_throw(timer_->wait(default_timeout)) == 1);
        CHECK(value_or_throw(client_.show("kept/mine")).lifetime == Lifetime::session);
    }

private:
    Client client_ = Container::instance().client();
    std::optional<Event> event_;
    std::optional<Event> tokens_;
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    std::optional<OutputReader> waiting_;
};

std::string main_pid()
{
    return property("MainPID");
}

bool is_replaced(const std::string& pid)
{
    return poll_until([&] {
        const auto current = main_pid();
        return current != "0" && current != pid && property("ActiveState") == "active";
    });
}

TEST_CASE("an event survives SIGKILL of the daemon")
{
    LiveObjects live;
    const auto pid = main_pid();
    Container::instance().run_checked({"systemctl", "kill", "--signal", "KILL", service});
    REQUIRE(is_replaced(pid));
    live.check_all_work();
}

TEST_CASE("an event survives a restart of the service")
{
    LiveObjects live;
    const auto pid = main_pid();
    CHECK(property("NFileDescriptorStore") == "4");
    Container::instance().run_checked({"systemctl", "restart", service});
    CHECK(main_pid() != pid);
    live.check_all_work();
}

// While this object lives, the daemon's configuration file contains the given text. The destructor
// restores the packaged text and makes the daemon reload the file.
class Configuration {
public:
    explicit Configuration(std::string_view text) { write(text); }
    ~Configuration()
    {
        write(packaged_text_);
        container_.run({"systemctl", "reload", service});
    }
    void write(std::string_view text) const { write_file(container_.path(file), text); }

    static constexpr auto file = "/etc/evfdd/evfdd.json";

private:
    Container& container_ = Container::instance();
    std::string packaged_text_ = read_file(container_.path(file));
};

TEST_CASE("a reload applies the configuration and replaces neither the process nor an event")
{
    LiveObjects live;
    const auto pid = main_pid();
    const auto client = Container::instance().client();
    const auto connections = value_or_throw(client.status()).connections;
    const Configuration configuration{
        "{\"events\": [{\"name\": \"declared\", \"owner\": \"nobody\"}],\n"
        " \"limits\": {\"objects\": 6}}"};
    auto cursor = journal_cursor();
    Container::instance().run_checked({"systemctl", "reload", service});
    REQUIRE(log_contains(cursor, "the configuration was reloaded"));
    CHECK(poll_until([] { return property("SubState") == "running"; }));
    CHECK(value_or_throw(client.show("declared")).owner_uid ==
          std::stoi(Container::instance().run_checked({"id", "-u", "nobody"})));
    // The configuration allows six objects, and five objects exist already.
    CHECK(client.create("sixth"));
    CHECK(client.create("seventh").error().code == ErrorCode::refused);
    value_or_throw(client.delete_object(std::vector{"sixth"s}));

    configuration.write("{\"events\": [{\"name\": \"worse\"}],\n \"limits\": {\"objects\": -1}}");
    cursor = journal_cursor();
    CHECK(Container::instance().run({"systemctl", "reload", service}).status != 0);
    CHECK(log_contains(cursor, Configuration::file + ":2: limits.objects: -1 is too small"s));
    CHECK(poll_until([] { return property("SubState") == "running"; }));
    CHECK(client.show("worse").error().code == ErrorCode::no_such_name);
    CHECK(client.create("sixth"));
    CHECK(client.create("seventh").error().code == ErrorCode::refused);

    value_or_throw(client.delete_object(std::vector{"sixth"s, "declared"s}));
    CHECK(value_or_throw(client.status()).connections == connections);
    live.check_all_work();
    CHECK(main_pid() == pid);
}

TEST_CASE(
    "a service with an invalid configuration fails to start, and evfdctl reports where to look")
{
    auto& container = Container::instance();
    container.run_checked({"systemctl", "stop", service});
    const Configuration configuration{"{\"limits\": 1}"};
    const auto cursor = journal_cursor();

    const auto result = container.run({"evfdctl", "--system", "status"});

    CHECK(result.status == 8);
    CHECK(result.err.contains("see journalctl -u evfdd"));
    CHECK(poll_until([] { return property("ActiveState") == "failed"; }));
    CHECK(property("ExecMainStatus") == "78");
    CHECK(property("NRestarts") == "0");
    CHECK(log_contains(cursor, Configuration::file + ":1: limits: 1 is not valid"s));
    configuration.write("{}");
    // The command connects to the socket. The socket unit still listens on this socket, so systemd
    // starts the service again.
    run_evfdctl({"status"});
    CHECK(property("ActiveState") == "active");
}

TEST_CASE("a service with objects keeps them when its configuration has become invalid")
{
    auto& container = Container::instance();
    LiveObjects live;
    const auto pid = main_pid();
    const Configuration configuration{"{\"limits\": 1}"};

    container.run_checked({"systemctl", "kill", "--signal", "KILL", service});

    REQUIRE(is_replaced(pid));
    CHECK(property("StatusText").contains("the configuration cannot be read"));
    CHECK(container.run_as("nobody", {"evfdctl", "set", "kept/event"}).status == 4);
    configuration.write("{}");
    container.run_checked({"systemctl", "reload", service});
    CHECK(poll_until([] { return property("StatusText") == "Ready"; }));
    live.check_all_work();
}

// While this object lives, the unit of the service has a drop-in file (see systemd.unit(5)) with
// the given text. The constructor and the destructor restart the service.
class ServiceOverride {
public:
    explicit ServiceOverride(std::string_view text)
    {
        container_.write_unit(directory_ + "/override.conf", text);
        container_.run_checked({"systemctl", "restart", service});
    }
    ~ServiceOverride()
    {
        std::filesystem::remove_all(container_.path("/run/systemd/system/" + directory_));
        container_.run({"systemctl", "daemon-reload"});
        container_.run({"systemctl", "restart", service});
    }

private:
    Container& container_ = Container::instance();
    std::string directory_ = "evfdd.service.d";
};

TEST_CASE("the watchdog replaces a daemon that hangs, and its events survive")
{
    auto& container = Container::instance();
    const ServiceOverride short_watchdog{"[Service]\nWatchdogSec=1s\n"};
    LiveObjects live;
    const auto pid = main_pid();
    const auto client = container.client();
    (void)value_or_throw(client.arm("kept/pause", {.after = 3s, .sets = ""}));
    REQUIRE(value_or_throw(value_or_throw(client.open_timer("kept/pause")).wait(default_timeout)) ==
            1);
    value_or_throw(client.delete_object({{"kept/pause"}}));
    // The daemon was idle for longer than WatchdogSec. systemd has not replaced the daemon, because
    // the daemon has sent its keep-alive messages.
    CHECK(main_pid() == pid);

    container.run_checked({"systemctl", "kill", "--signal", "STOP", service});
    CHECK(is_replaced(pid));
    live.check_all_work();
}

TEST_CASE("an event survives an upgrade of the packages")
{
    auto& container = Container::instance();
    const auto version = [&] {
        return container.run_checked(
            {"dpkg-query", "--show", "--showformat", "${Version}", "evfdd"});
    };
    const auto program = [&] {
        return container.run_checked(
            {"stat", "--dereference", "--format", "%i", "/proc/" + main_pid() + "/exe"});
    };
    const auto own = container.path("/etc/evfdd/conf.d/own.json");
    write_file(own, "{\"logLevel\": \"debug\"}");
    LiveObjects live;
    const auto before = program();

    container.install("/packages/next");

    CHECK(version().ends_with("+next"));
    CHECK(program() != before);
    live.check_all_work();
    CHECK(read_file(own) == "{\"logLevel\": \"debug\"}");

    container.install("/packages"); // Installs the packages of this build again, for the next test.
    CHECK_FALSE(version().ends_with("+next"));
    std::filesystem::remove(own);
}

TEST_CASE("a daemon whose fd store is too small warns at its start and restarts after a kill")
{
    const std::string fd_store_max = GENERATE("0", "2");
    const auto cursor = journal_cursor();
    const ServiceOverride small{"[Service]\nFileDescriptorStoreMax=" + fd_store_max + "\n"};
    CAPTURE(fd_store_max);
    CHECK(log_contains(cursor, "systemd accepts " + fd_store_max + " of the 4 descriptors"));
    const auto client = Container::instance().client();
    REQUIRE(client.create("lost", {.initial = 1}));
    const auto event = value_or_throw(client.open("lost"));
    // To recover its state, a daemon needs all four descriptors of the state store. systemd's fd
    // store has no room for four descriptors, so the daemon stores none.
    CHECK(property("NFileDescriptorStore") == "0");
    CHECK(value_or_throw(client.status()).fd_store == FdStore::none);
    const auto pid = main_pid();

    run_evfdctl({"status"});
    Container::instance().run_checked({"systemctl", "kill", "--signal", "KILL", service});

    REQUIRE(is_replaced(pid));
    CHECK(client.show("lost").error().code == ErrorCode::no_such_name);
    CHECK(value_or_throw(event.wait(0ns)) == 1); // A descriptor of a lost event still works.

    CHECK(client.create("again", {.initial = 1}));
    run_evfdctl({"is-set", "again"});
    run_evfdctl({"delete", "again"});
}

} // namespace
} // namespace evfd::e2e
