// Tests of attacks by processes that hold the descriptor of an event that other processes use by
// name.
#include "tests/e2e/attack/attack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

// The highest count of an eventfd(2).
constexpr std::uint64_t max_eventfd_count = 0xfffffffffffffffe;

UniqueFd open_fd(WireClient& wire, const std::string& name)
{
    const auto reply = wire.request("Open", {{"items", items({name})}});
    require(!reply.contains("error") && wire.descriptors().size() == 1, "the open failed");
    auto fd = std::move(wire.descriptors().front());
    wire.descriptors().pop_front();
    return fd;
}

// Clears O_NONBLOCK. The flag belongs to the open file description, which this process shares with
// the daemon. A read(2) or write(2) by the daemon could therefore block too.
void make_blocking(const UniqueFd& fd)
{
    if (::fcntl(fd.get(), F_SETFL, 0) < 0)
        fail("fcntl(2)");
}

enum class Misuse { saturate, drain };

// Starts a process that fills or drains the event again and again. The process must be killed: it
// never exits by itself, and while it blocks in read(2) or write(2), it cannot receive a message
// from the test.
Worker start_holder(const DaemonProcess& daemon, const std::string& name, Misuse misuse)
{
    return start_attacker([&](const WorkerSocket& parent) {
        WireClient wire{daemon.path()};
        const auto fd = open_fd(wire, name);
        make_blocking(fd);
        std::uint64_t value = max_eventfd_count;
        if (misuse == Misuse::saturate)
            require(::write(fd.get(), &value, sizeof value) == sizeof value,
                    "the counter was not filled");
        parent.send(0);
        while (true)
            if (misuse == Misuse::saturate) {
                value = max_eventfd_count;
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

// Sets, waits for and clears an event whose counter another process keeps full. After each clear,
// the counter is below its maximum only for a moment.
void use_saturated(const DaemonProcess& daemon, const std::string& name, bool is_semaphore,
                   int rounds)
{
    WireClient wire{daemon.path()};
    const Json names{{"items", items({name})}};
    const Json at_once{{"items", items({name})}, {"timeoutNSec", 0}};
    for (int i = 0; i < rounds; ++i) {
        REQUIRE(error_of(wire.request("Set", names)) == "none");
        REQUIRE(wire.request("Show", {{"name", name}})["parameters"]["object"]["isSet"] == true);
        REQUIRE(error_of(wire.request("Wait", at_once)) == "none");
        // A full semaphore has more tokens than one clear can consume, so the clear fails.
        REQUIRE(error_of(wire.request("Clear", names)) ==
                (is_semaphore ? "io.evfdd.TooManyTokens" : "none"));
    }
}

// Sets, clears and shows an event. Another process drains the event as soon as it is set.
void use_drained(const DaemonProcess& daemon, const std::string& name, Mode mode, int rounds)
{
    WireClient wire{daemon.path()};
    WireClient waiting{daemon.path()};
    const Json names{{"items", items({name})}};
    for (int i = 0; i < rounds; ++i) {
        // A set of a manual event releases all waiters, although the holder drains the event at
        // once.
        if (mode == Mode::manual) {
            waiting.call("Wait", names);
            REQUIRE(daemon.has_waits(name, 1));
        }
        REQUIRE(error_of(wire.request("Set", names)) == "none");
        if (mode == Mode::manual)
            REQUIRE(error_of(waiting.reply()) == "none");
        REQUIRE(error_of(wire.request("Clear", names)) == "none");
        REQUIRE(error_of(wire.request("Show", {{"name", name}})) == "none");
    }
}

TEST_CASE("a holder that keeps a blocking event full does not stop callers by name")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    const auto [name, mode] = GENERATE(table<std::string, Mode>({
        {"full/manual", Mode::manual},
        {"full/auto", Mode::automatic},
        {"full/semaphore", Mode::semaphore},
    }));
    check_withstands(daemon, "an event kept full: " + name, [&] {
        value_or_throw(
            client.create(name, {.mode = mode, .permissions = Permissions::parse("0666")}));
        auto worker = start_holder(daemon, name, Misuse::saturate);
        worker.receive();
        // Uses fewer rounds for a semaphore, because each clear consumes tokens one by one during a
        // time slice before it fails.
        use_saturated(daemon, name, mode == Mode::semaphore,
                      scale_rounds(mode == Mode::semaphore ? 20 : 500));
        value_or_throw(client.delete_object(std::vector{name}));
    });
}

TEST_CASE("a holder that drains an event at full speed does not stop callers by name")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    const auto [name, mode] = GENERATE(table<std::string, Mode>({
        {"drained/manual", Mode::manual},
        {"drained/auto", Mode::automatic},
        {"drained/semaphore", Mode::semaphore},
    }));
    check_withstands(daemon, "an event drained: " + name, [&] {
        value_or_throw(
            client.create(name, {.mode = mode, .permissions = Permissions::parse("0666")}));
        auto worker = start_holder(daemon, name, Misuse::drain);
        worker.receive();
        use_drained(daemon, name, mode, scale_rounds(500));
        value_or_throw(client.delete_object(std::vector{name}));
    });
}

// Adds 10,000 copies of the event's descriptor to an epoll set. Each copy adds an entry to the wait
// queue of the event. A write to the event visits all entries, so adding one token takes about a
// millisecond.
class ManyWatchers {
public:
    explicit ManyWatchers(const UniqueFd& event)
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

void set_by_timers(WireClient& wire, const UniqueFd& event)
{
    Json timers;
    for (int i = 0; i < 10; ++i) {
        timers.push_back("maker/" + std::to_string(i));
        require(error_of(wire.request("Arm", {{"name", timers.back()},
                                              {"intervalNSec", 1'000'000},
                                              {"sets", "crowded"}})) == "none",
                "the arm failed");
    }
    std::uint64_t token = 0;
    for (int i = 0; i < scale_rounds(500); ++i)
        require(await_readable(event.get(), default_timeout) &&
                    ::read(event.get(), &token, sizeof token) == sizeof token,
                "the timers do not set the event");
    require(error_of(wire.request("Delete", {{"items", items(timers)}})) == "none",
            "the delete failed");
}

enum class SlowCall { set, timer, clear };

TEST_CASE("an event with a slow wait queue delays only the calls of its own user")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    const auto attack = GENERATE(table<SlowCall, std::string>({
        {SlowCall::set, "sets of 1,000 tokens"},
        {SlowCall::timer, "timers of 10,000 tokens a second"},
        {SlowCall::clear, "clears of 1,000 tokens"},
    }));
    const auto slow_call = std::get<SlowCall>(attack);
    check_withstands(
        daemon, "an event with 10,000 watchers: " + std::get<std::string>(attack), [&] {
            auto worker = start_attacker([&](const WorkerSocket& parent) {
                WireClient wire{daemon.path()};
                const auto initial = slow_call == SlowCall::clear ? 1'000 : 0;
                require(error_of(wire.request("CreateEvent", {{"name", "crowded"},
                                                              {"mode", "semaphore"},
                                                              {"initial", initial}})) == "none",
                        "the create failed");
                const auto event = open_fd(wire, "crowded");
                const ManyWatchers watchers{event};
                const Json names{{"items", items({"crowded"})}};
                const Json tokens{{"items", items({"crowded"}, {{"count", 1'000}})}};
                if (slow_call == SlowCall::set)
                    require(error_of(wire.request("Set", tokens)) == "none",
                            "the event is not set");
                if (slow_call == SlowCall::clear)
                    require(error_of(wire.request("Clear", names)) == "none", "the clear failed");
                if (slow_call == SlowCall::timer)
                    set_by_timers(wire, event);
                require(error_of(wire.request("Delete", names)) == "none", "the delete failed");
                parent.send(0);
            });
            worker.receive();
            CHECK(worker.wait() == 0);
        });
}

// Returns the number of context switches of the daemon.
std::uint64_t context_switches(const DaemonProcess& daemon)
{
    return daemon.usage().switches;
}

TEST_CASE("a holder that writes at full speed to a watched event does not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    const bool with_reader = GENERATE(false, true);
    constexpr auto span = is_sanitized ? 400ms : 1s;
    const auto what = "a direct writer at full speed"s + (with_reader ? " and a reader" : "");

    check_withstands(daemon, what, [&] {
        // The worker's wait for "never" and "busy" stays pending, because nobody creates "never".
        // The daemon therefore keeps watching "busy".
        value_or_throw(client.create("busy", {.permissions = Permissions::parse("0666")}));
        Worker watcher = start_attacker([&](const WorkerSocket& parent) {
            WireClient waiting{daemon.path()};
            waiting.call("Wait", {{"items", items({"never", "busy"})}});
            WireClient monitor{daemon.path()};
            monitor.call("Monitor", {{"pattern", "busy"}}, "more");
            parent.send(0);
            while (true)
                monitor.reply();
        });
        watcher.receive();
        REQUIRE(daemon.has_waits("busy", 1));
        std::vector<Worker> readers;
        if (with_reader)
            readers.push_back(start_holder(daemon, "busy", Misuse::drain));
        Worker writer = start_attacker([&](const WorkerSocket& parent) {
            WireClient wire{daemon.path()};
            const auto fd = open_fd(wire, "busy");
            std::uint64_t writes = 0;
            const std::uint64_t one = 1;
            const auto end = monotonic_deadline(span);
            parent.send(0);
            while (monotonic_now() < end)
                for (int i = 0; i < 100; ++i, ++writes)
                    require(::write(fd.get(), &one, sizeof one) == sizeof one, "the write failed");
            parent.send(writes);
        });
        for (auto& reader : readers)
            reader.receive();
        writer.receive();
        const auto switches = context_switches(daemon);
        const auto cpu_time = process_cpu_time(daemon.pid());
        const auto begin = monotonic_now();
        const auto writes = static_cast<double>(writer.receive());
        const auto seconds =
            static_cast<double>(nanoseconds{monotonic_now() - begin}.count()) / 1e9;
        report(
            fmt::format("  {}: {:.0f} writes a second; the daemon is switched to {:.0f} times a "
                        "second and has {:.0f} % of a core",
                        what, writes / seconds,
                        static_cast<double>(context_switches(daemon) - switches) / seconds,
                        static_cast<double>((process_cpu_time(daemon.pid()) - cpu_time).count()) /
                            seconds / 1e7));
        CHECK(writer.wait() == 0);
        value_or_throw(client.delete_object(std::vector{"busy"s}));
    });
}

} // namespace
} // namespace evfd::e2e
