// Attacks by who holds the descriptor of an event that others use by name.
#include "tests/e2e/attack/attack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

constexpr std::uint64_t full = 0xfffffffffffffffe; // eventfd(2)

UniqueFd open_by_hand(Wire& wire, const std::string& name)
{
    const auto reply = wire.ask("Open", {{"names", {name}}});
    require(!reply.contains("error") && wire.descriptors().size() == 1, "not opened");
    auto fd = std::move(wire.descriptors().front());
    wire.descriptors().pop_front();
    return fd;
}

// O_NONBLOCK is the open file's: from here on a plain read or write of the daemon's would block.
void make_blocking(const UniqueFd& fd)
{
    if (::fcntl(fd.get(), F_SETFL, 0) < 0)
        fail("fcntl(2)");
}

enum class Deed { saturate, drain };

// Until it is killed, for its reads and writes block.
Worker holder(const Daemon& daemon, const std::string& name, Deed deed)
{
    return hostile([&](const Line& line) {
        Wire wire{daemon.path()};
        const auto fd = open_by_hand(wire, name);
        make_blocking(fd);
        std::uint64_t value = full;
        if (deed == Deed::saturate)
            require(::write(fd.get(), &value, sizeof value) == sizeof value, "not saturated");
        line.say(0);
        while (true)
            if (deed == Deed::saturate) {
                value = full;
                (void)!::write(fd.get(), &value, sizeof value);
            } else {
                (void)!::read(fd.get(), &value, sizeof value);
            }
    });
}

std::string error_of(const Json& reply)
{
    return reply.value("error", "none");
}

// Everybody's event is full all the time, unless someone has just cleared it.
void use_saturated(const Daemon& daemon, const std::string& name, bool is_semaphore, int rounds)
{
    Wire wire{daemon.path()};
    const Json names{{"names", {name}}};
    const Json at_once{{"names", {name}}, {"timeoutNSec", 0}};
    for (int i = 0; i < rounds; ++i) {
        REQUIRE(error_of(wire.ask("Set", names)) == "none");
        REQUIRE(wire.ask("Show", {{"name", name}})["parameters"]["object"]["isSet"] == true);
        REQUIRE(error_of(wire.ask("Wait", at_once)) == "none");
        // One call cannot take so many tokens, and says so.
        REQUIRE(error_of(wire.ask("Clear", names)) ==
                (is_semaphore ? "io.evfdd.TooManyTokens" : "none"));
    }
}

// Whatever is set is taken at once from the descriptor.
void use_drained(const Daemon& daemon, const std::string& name, Mode mode, int rounds)
{
    Wire wire{daemon.path()};
    Wire waiting{daemon.path()};
    const Json names{{"names", {name}}};
    for (int i = 0; i < rounds; ++i) {
        // Of a manual event that is nobody's right to take: who waits when it is set is released.
        if (mode == Mode::manual) {
            waiting.call("Wait", names);
            REQUIRE(daemon.has_waits(name, 1));
        }
        REQUIRE(error_of(wire.ask("Set", names)) == "none");
        if (mode == Mode::manual)
            REQUIRE(error_of(waiting.reply()) == "none");
        REQUIRE(error_of(wire.ask("Clear", names)) == "none");
        REQUIRE(error_of(wire.ask("Show", {{"name", name}})) == "none");
    }
}

TEST_CASE("who makes an event block and keeps it full stops nobody who sets and waits by name")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = talking_to(daemon);
    const auto [name, mode] = GENERATE(table<std::string, Mode>({
        {"full/manual", Mode::manual},
        {"full/auto", Mode::automatic},
        {"full/semaphore", Mode::semaphore},
    }));
    withstand(daemon, "an event kept full: " + name, [&] {
        must(client.create(name, {.mode = mode, .rights = Rights::parse("0666")}));
        auto worker = holder(daemon, name, Deed::saturate);
        worker.hear();
        // A clear of a semaphore tries 8,192 tokens.
        use_saturated(daemon, name, mode == Mode::semaphore,
                      fewer(mode == Mode::semaphore ? 20 : 500));
        must(client.remove(std::vector{name}));
    });
}

TEST_CASE("who takes from an event as fast as it can stops nobody who sets and waits by name")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = talking_to(daemon);
    const auto [name, mode] = GENERATE(table<std::string, Mode>({
        {"drained/manual", Mode::manual},
        {"drained/auto", Mode::automatic},
        {"drained/semaphore", Mode::semaphore},
    }));
    withstand(daemon, "an event drained: " + name, [&] {
        must(client.create(name, {.mode = mode, .rights = Rights::parse("0666")}));
        auto worker = holder(daemon, name, Deed::drain);
        worker.hear();
        use_drained(daemon, name, mode, fewer(500));
        must(client.remove(std::vector{name}));
    });
}

// In whose wait queue so many are that to add a token takes the kernel about a millisecond.
class Crowd {
public:
    explicit Crowd(const UniqueFd& event)
    {
        for (int i = 0; i < 10'000; ++i) {
            auto& copy = copies_.emplace_back(::fcntl(event.get(), F_DUPFD_CLOEXEC, 0));
            epoll_event wanted{};
            wanted.events = EPOLLIN | EPOLLOUT | EPOLLET;
            if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, copy.get(), &wanted) < 0)
                fail("epoll_ctl(2)");
        }
    }

private:
    UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<UniqueFd> copies_;
};

void let_timers_set(Wire& wire, const UniqueFd& event)
{
    Json timers;
    for (int i = 0; i < 10; ++i) {
        timers.push_back("maker/" + std::to_string(i));
        require(error_of(wire.ask("Arm", {{"name", timers.back()},
                                          {"intervalNSec", 1'000'000},
                                          {"sets", "crowded"}})) == "none",
                "not armed");
    }
    std::uint64_t token = 0;
    for (int i = 0; i < fewer(500); ++i)
        require(await_readable(event.get(), patience) &&
                    ::read(event.get(), &token, sizeof token) == sizeof token,
                "the timers do not set it");
    require(error_of(wire.ask("Delete", {{"names", timers}})) == "none", "not deleted");
}

enum class Way { set, timer, clear };

TEST_CASE(
    "an event that it takes the kernel long to add to or take from holds up its own user alone")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = talking_to(daemon);
    const auto attack = GENERATE(table<Way, std::string>({
        {Way::set, "sets of 1,000 tokens"},
        {Way::timer, "timers of 10,000 tokens a second"},
        {Way::clear, "clears of 1,000 tokens"},
    }));
    const auto way = std::get<Way>(attack);
    withstand(daemon, "an event that 10,000 watch: " + std::get<std::string>(attack), [&] {
        auto worker = hostile([&](const Line& line) {
            Wire wire{daemon.path()};
            const auto initial = way == Way::clear ? 1'000 : 0;
            require(error_of(wire.ask("CreateEvent", {{"name", "crowded"},
                                                      {"mode", "semaphore"},
                                                      {"initial", initial}})) == "none",
                    "not created");
            const auto event = open_by_hand(wire, "crowded");
            const Crowd crowd{event};
            const Json names{{"names", {"crowded"}}};
            const Json tokens{{"names", {"crowded"}}, {"count", 1'000}};
            if (way == Way::set)
                require(error_of(wire.ask("Set", tokens)) == "none", "not set");
            if (way == Way::clear)
                require(error_of(wire.ask("Clear", names)) == "none", "not cleared");
            if (way == Way::timer)
                let_timers_set(wire, event);
            require(error_of(wire.ask("Delete", names)) == "none", "not deleted");
            line.say(0);
        });
        worker.hear();
        CHECK(worker.wait() == 0);
    });
}

// How often the daemon slept and was woken, or was put aside.
std::uint64_t switches_of(const Daemon& daemon)
{
    return daemon.usage().switches;
}

TEST_CASE("a direct writer at full speed of what is monitored and waited for disturbs nobody")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = talking_to(daemon);
    const bool with_reader = GENERATE(false, true);
    constexpr auto span = is_sanitized ? 400ms : 1s;
    const auto what = "a direct writer at full speed"s + (with_reader ? " and a reader" : "");

    withstand(daemon, what, [&] {
        // The wait goes on, for the other name never comes; so the daemon has to look on.
        must(client.create("busy", {.rights = Rights::parse("0666")}));
        Worker follower = hostile([&](const Line& line) {
            Wire waiting{daemon.path()};
            waiting.call("Wait", {{"names", {"never", "busy"}}});
            Wire monitor{daemon.path()};
            monitor.call("Monitor", {{"pattern", "busy"}}, "more");
            line.say(0);
            while (true)
                monitor.reply();
        });
        follower.hear();
        REQUIRE(daemon.has_waits("busy", 1));
        std::vector<Worker> readers;
        if (with_reader)
            readers.push_back(holder(daemon, "busy", Deed::drain));
        Worker writer = hostile([&](const Line& line) {
            Wire wire{daemon.path()};
            const auto fd = open_by_hand(wire, "busy");
            std::uint64_t writes = 0;
            const std::uint64_t one = 1;
            const auto end = monotonic_after(span);
            line.say(0);
            while (monotonic_now() < end)
                for (int i = 0; i < 100; ++i, ++writes)
                    require(::write(fd.get(), &one, sizeof one) == sizeof one, "not written");
            line.say(writes);
        });
        for (auto& reader : readers)
            reader.hear();
        writer.hear();
        const auto switches = switches_of(daemon);
        const auto cpu_time = cpu_time_of(daemon.pid());
        const auto begin = monotonic_now();
        const auto writes = static_cast<double>(writer.hear());
        const auto seconds =
            static_cast<double>(nanoseconds{monotonic_now() - begin}.count()) / 1e9;
        tell(fmt::format(
            "  {}: {:.0f} writes a second; the daemon is switched to {:.0f} times a "
            "second and has {:.0f} % of a core",
            what, writes / seconds, static_cast<double>(switches_of(daemon) - switches) / seconds,
            static_cast<double>((cpu_time_of(daemon.pid()) - cpu_time).count()) / seconds / 1e7));
        CHECK(writer.wait() == 0);
        must(client.remove(std::vector{"busy"s}));
    });
}

} // namespace
} // namespace evfd::e2e
