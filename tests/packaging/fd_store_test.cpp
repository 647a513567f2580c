// What holds an event's descriptor hears of a set by name whatever became of the daemon meanwhile.
#include "tests/support/catch.h"
#include "tests/packaging/container.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr auto service = "evfdd.service";

std::string property(std::string_view name)
{
    return Container::the().property(service, name);
}

void control(std::vector<std::string> words)
{
    words.insert(words.begin(), {"evfdctl", "--system"});
    Container::the().done(std::move(words));
}

// What it wrote since `cursor`, an empty one for all.
std::string journal(const std::string& cursor)
{
    return Container::the().done({"journalctl", "--unit", service, "--no-pager", "--output", "cat",
                                  "--after-cursor", cursor});
}

std::string journal_cursor()
{
    const auto text = Container::the().done(
        {"journalctl", "--no-pager", "--lines", "1", "--show-cursor", "--output", "cat"});
    const auto key = "-- cursor: "s;
    return text.substr(text.rfind(key) + key.size());
}

bool is_told(const std::string& cursor, const std::string& what)
{
    return eventually([&] { return journal(cursor).contains(what); });
}

// Objects that were made and opened before, and a client that stays; afterwards they are changed by
// their names, by someone new.
class Held {
public:
    Held()
    {
        (void)must(client_.create("kept/event"));
        (void)must(client_.create("kept/tokens", {.mode = Mode::semaphore, .initial = 3}));
        (void)must(client_.create("kept/pulse", {.mode = Mode::pulse}));
        (void)must(client_.create("kept/mine", {.lifetime = Lifetime::connection}));
        (void)must(client_.arm("kept/timer", {.after = 1h}));
        event_.emplace(must(client_.open("kept/event")));
        tokens_.emplace(must(client_.open("kept/tokens")));
        pulse_.emplace(must(client_.open("kept/pulse")));
        timer_.emplace(must(client_.open_timer("kept/timer")));
        REQUIRE(must(tokens_->wait(0ns)) == 1);
        waiting_.emplace(Container::the().command({"evfdctl", "--system", "wait", "kept/event"}));
        REQUIRE(eventually([&] { return must(client_.show("kept/event")).waits == 1; }));
    }
    ~Held()
    {
        Container::the().run({"evfdctl", "--system", "delete", "kept/event", "kept/tokens",
                              "kept/pulse", "kept/mine", "kept/timer"});
    }
    void goes_on()
    {
        CHECK(property("NFileDescriptorStore") == "4");
        control({"set", "kept/event"});
        CHECK(must(event_->wait(patience)) == 1);
        CHECK(waiting_->wait() == 0);

        CHECK(must(client_.show("kept/tokens")).count == std::int64_t{2});
        control({"set", "kept/tokens"});
        CHECK(must(tokens_->wait(0ns)) == 1);
        CHECK(must(client_.show("kept/tokens")).count == std::int64_t{2});

        control({"set", "kept/pulse", "--count", "2"});
        CHECK(must(pulse_->wait(patience)) == 2);
        control({"arm", "kept/timer", "--in", "1ms"});
        CHECK(must(timer_->wait(patience)) == 1);
        CHECK(must(client_.show("kept/mine")).lifetime == Lifetime::connection);
    }

private:
    Client client_ = Container::the().client();
    std::optional<Event> event_;
    std::optional<Event> tokens_;
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    std::optional<Reading> waiting_;
};

std::string main_pid()
{
    return property("MainPID");
}

bool is_replaced(const std::string& pid)
{
    return eventually([&] {
        const auto now = main_pid();
        return now != "0" && now != pid && property("ActiveState") == "active";
    });
}

TEST_CASE("an event outlives SIGKILL of the daemon")
{
    Held held;
    const auto pid = main_pid();
    Container::the().done({"systemctl", "kill", "--signal", "KILL", service});
    REQUIRE(is_replaced(pid));
    held.goes_on();
}

TEST_CASE("an event outlives a restart")
{
    Held held;
    const auto pid = main_pid();
    CHECK(property("NFileDescriptorStore") == "4");
    Container::the().done({"systemctl", "restart", service});
    CHECK(main_pid() != pid);
    held.goes_on();
}

// The daemon's configuration while it lives.
class Configuration {
public:
    explicit Configuration(std::string_view text)
    {
        Container::the().done({"mkdir", "-p", "/etc/evfdd"});
        write(text);
    }
    ~Configuration()
    {
        std::filesystem::remove(container_.path(file));
        container_.run({"systemctl", "reload", service});
    }
    void write(std::string_view text) const { write_file(container_.path(file), text); }

    static constexpr auto file = "/etc/evfdd/evfdd.json";

private:
    Container& container_ = Container::the();
};

TEST_CASE("a reload reads the configuration and changes no process and no event")
{
    Held held;
    const auto pid = main_pid();
    const auto client = Container::the().client();
    const auto connections = must(client.status()).connections;
    const Configuration configuration{
        "{\"events\": [{\"name\": \"declared\", \"owner\": \"nobody\"}],\n"
        " \"limits\": {\"objects\": 6}}"};
    auto cursor = journal_cursor();
    Container::the().done({"systemctl", "reload", service});
    REQUIRE(is_told(cursor, "the configuration was read again"));
    CHECK(eventually([] { return property("SubState") == "running"; }));
    CHECK(must(client.show("declared")).owner_uid ==
          std::stoi(Container::the().done({"id", "-u", "nobody"})));
    // It has the five that are held.
    CHECK(client.create("sixth"));
    CHECK(client.create("seventh").error().code == ErrorCode::refused);
    must(client.remove(std::vector{"sixth"s}));

    configuration.write("{\"events\": [{\"name\": \"worse\"}],\n \"limits\": {\"objects\": -1}}");
    cursor = journal_cursor();
    CHECK(Container::the().run({"systemctl", "reload", service}).status != 0);
    CHECK(is_told(cursor, Configuration::file + ":2: limits.objects: -1 is too small"s));
    CHECK(eventually([] { return property("SubState") == "running"; }));
    CHECK(client.show("worse").error().code == ErrorCode::no_such_name);
    CHECK(client.create("sixth"));
    CHECK(client.create("seventh").error().code == ErrorCode::refused);

    must(client.remove(std::vector{"sixth"s, "declared"s}));
    CHECK(must(client.status()).connections == connections);
    held.goes_on();
    CHECK(main_pid() == pid);
}

TEST_CASE("a service that cannot read its configuration has failed, and its clients are told why")
{
    auto& container = Container::the();
    container.done({"systemctl", "stop", service});
    const Configuration configuration{"{\"limits\": 1}"};
    const auto cursor = journal_cursor();

    const auto ran = container.run({"evfdctl", "--system", "status"});

    CHECK(ran.status == 8);
    CHECK(ran.err.contains("see journalctl -u evfdd"));
    CHECK(eventually([] { return property("ActiveState") == "failed"; }));
    CHECK(property("ExecMainStatus") == "78");
    CHECK(property("NRestarts") == "0");
    CHECK(is_told(cursor, Configuration::file + ":1: limits: 1 will not do"s));
    configuration.write("{}");
    control({"status"}); // The socket is there still.
    CHECK(property("ActiveState") == "active");
}

TEST_CASE("a service that has objects keeps them when it cannot read its configuration any more")
{
    auto& container = Container::the();
    Held held;
    const auto pid = main_pid();
    const Configuration configuration{"{\"limits\": 1}"};

    container.done({"systemctl", "kill", "--signal", "KILL", service});

    REQUIRE(is_replaced(pid));
    CHECK(property("StatusText").contains("the configuration cannot be read"));
    CHECK(container.run_as("nobody", {"evfdctl", "set", "kept/event"}).status == 4);
    configuration.write("{}");
    container.done({"systemctl", "reload", service});
    CHECK(eventually([] { return property("StatusText") == "Ready"; }));
    held.goes_on();
}

// A drop-in of the service while it lives.
class Override {
public:
    explicit Override(std::string_view text)
    {
        container_.write_unit(name_, text);
        container_.done({"systemctl", "restart", service});
    }
    ~Override()
    {
        std::filesystem::remove(container_.path("/run/systemd/system/" + name_));
        container_.run({"systemctl", "daemon-reload"});
        container_.run({"systemctl", "restart", service});
    }

private:
    Container& container_ = Container::the();
    std::string name_ = "evfdd.service.d/override.conf";
};

TEST_CASE("a daemon that hangs is replaced, and its events go on")
{
    auto& container = Container::the();
    const Override impatience{"[Service]\nWatchdogSec=1s\n"};
    Held held;
    const auto pid = main_pid();
    const auto client = container.client();
    (void)must(client.arm("kept/pause", {.after = 3s, .sets = ""}));
    REQUIRE(must(must(client.open_timer("kept/pause")).wait(patience)) == 1);
    must(client.remove({{"kept/pause"}}));
    CHECK(main_pid() == pid); // It does not hang by itself.

    container.done({"systemctl", "kill", "--signal", "STOP", service});
    CHECK(is_replaced(pid));
    held.goes_on();
}

TEST_CASE("an event outlives the upgrade of the packages")
{
    auto& container = Container::the();
    const auto version = [&] {
        return container.done({"dpkg-query", "--show", "--showformat", "${Version}", "evfdd"});
    };
    const auto program = [&] {
        return container.done(
            {"stat", "--dereference", "--format", "%i", "/proc/" + main_pid() + "/exe"});
    };
    const auto own = container.path("/etc/evfdd/conf.d/own.json");
    write_file(own, "{\"logLevel\": \"debug\"}");
    Held held;
    const auto before = program();

    container.install("/packages/next");

    CHECK(version().ends_with("+next"));
    CHECK(program() != before);
    held.goes_on();
    CHECK(read_file(own) == "{\"logLevel\": \"debug\"}");

    container.install("/packages"); // And back.
    CHECK_FALSE(version().ends_with("+next"));
    std::filesystem::remove(own);
}

TEST_CASE("a daemon whose store is too small says so at its start and starts again after a kill")
{
    const std::string most = GENERATE("0", "2");
    const auto cursor = journal_cursor();
    const Override small{"[Service]\nFileDescriptorStoreMax=" + most + "\n"};
    CAPTURE(most);
    CHECK(is_told(cursor, "systemd keeps " + most + " of the 4 descriptors"));
    const auto client = Container::the().client();
    REQUIRE(client.create("lost", {.initial = 1}));
    const auto held = must(client.open("lost"));
    CHECK(property("NFileDescriptorStore") == "0"); // A part of it would be of no use.
    CHECK(must(client.status()).guardian == Guardian::none);
    const auto pid = main_pid();

    control({"status"});
    Container::the().done({"systemctl", "kill", "--signal", "KILL", service});

    REQUIRE(is_replaced(pid));
    CHECK(client.show("lost").error().code == ErrorCode::no_such_name);
    CHECK(must(held.wait(0ns)) == 1); // Whoever has it open keeps it.

    CHECK(client.create("again", {.initial = 1}));
    control({"is-set", "again"});
    control({"delete", "again"});
}

} // namespace
} // namespace evfd::e2e
