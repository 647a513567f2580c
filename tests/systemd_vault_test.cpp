// What holds an event's descriptor hears of a set by name whatever became of the daemon meanwhile.
// Hidden until the daemon keeps its objects: systemd_tests "[.vault]".
#include "tests/catch.h"
#include "tests/container.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr auto service = "evfdd.service";

// An event that was made and opened before; afterwards it is set by its name, by someone new.
class Held {
public:
    Held()
    {
        (void)must(client_.create("kept/event"));
        event_.emplace(must(client_.open("kept/event")));
    }
    ~Held() { Container::the().run({"evfdctl", "--system", "delete", "kept/event"}); }
    bool hears_a_set() const
    {
        Container::the().done({"evfdctl", "--system", "set", "kept/event"});
        return must(event_->wait(patience)) == 1;
    }

private:
    Client client_ = Container::the().client();
    std::optional<Event> event_;
};

std::string main_pid()
{
    return Container::the().property(service, "MainPID");
}

bool is_replaced(const std::string& pid)
{
    return eventually([&] {
        const auto now = main_pid();
        return now != "0" && now != pid &&
               Container::the().property(service, "ActiveState") == "active";
    });
}

TEST_CASE("an event outlives SIGKILL of the daemon", "[.vault]")
{
    const Held held;
    const auto pid = main_pid();
    Container::the().done({"systemctl", "kill", "--signal", "KILL", service});
    REQUIRE(is_replaced(pid));
    CHECK(held.hears_a_set());
}

TEST_CASE("an event outlives a restart", "[.vault]")
{
    const Held held;
    const auto pid = main_pid();
    CHECK(Container::the().property(service, "NFileDescriptorStore") != "0");
    Container::the().done({"systemctl", "restart", service});
    CHECK(main_pid() != pid);
    CHECK(held.hears_a_set());
}

TEST_CASE("a reload changes no process, and no event", "[.vault]")
{
    const Held held;
    const auto pid = main_pid();
    Container::the().done({"systemctl", "reload", service});
    CHECK(eventually([] { return Container::the().property(service, "SubState") == "running"; }));
    CHECK(held.hears_a_set());
    CHECK(main_pid() == pid);
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

TEST_CASE("a daemon that hangs is replaced, and its events go on", "[.vault]")
{
    auto& container = Container::the();
    const Override impatience{"[Service]\nWatchdogSec=1s\n"};
    const Held held;
    const auto pid = main_pid();
    const auto client = container.client();
    (void)must(client.arm("kept/pause", {.after = 3s, .sets = ""}));
    REQUIRE(must(must(client.open_timer("kept/pause")).wait(patience)) == 1);
    must(client.remove({{"kept/pause"}}));
    CHECK(main_pid() == pid); // It does not hang by itself.

    container.done({"systemctl", "kill", "--signal", "STOP", service});
    CHECK(is_replaced(pid));
    CHECK(held.hears_a_set());
}

TEST_CASE("an event outlives the upgrade to another build", "[.vault]")
{
    auto& container = Container::the();
    const Held held;
    const auto program = container.done({"readlink", "/proc/" + main_pid() + "/exe"});
    const auto before = container.done({"sha256sum", "/proc/" + main_pid() + "/exe"});
    // As a package manager does it: a new file takes the old one's place.
    container.done({"cp", program, program + ".new"});
    container.done({"sh", "-c", "echo another build >> " + program + ".new"});
    container.done({"mv", program + ".new", program});
    container.done({"systemctl", "restart", service});
    const auto after = container.done({"sha256sum", "/proc/" + main_pid() + "/exe"});
    CHECK(before.substr(0, 64) != after.substr(0, 64));
    CHECK(held.hears_a_set());
}

} // namespace
} // namespace evfd::e2e
