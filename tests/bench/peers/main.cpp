// evfdd-bench-peers: compares the speed of evfdd with the speed of alternative programs.
#include "tests/bench/peers/broker.h"
#include "tests/bench/peers/clients.h"
#include "tests/bench/peers/fdholder.h"
#include "tests/bench/peers/servers.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/report.h"
#include "tests/bench/signal_endpoints.h"
#include "tests/paths.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <deque>
#include <exception>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr int min_pairs = 9;
constexpr int calls = 300; // The number of calls in a batch.

template <class Endpoint, class Make>
auto make_peers(Make make)
{
    return [make](Role role) {
        const bool initiates = role == Role::initiator;
        std::vector<Endpoint> own;
        std::vector<Endpoint> remote;
        own.push_back(make(initiates ? "pong" : "ping", true));
        remote.push_back(make(initiates ? "ping" : "pong", false));
        return PingPongPeer<Endpoint>{std::move(own), std::move(remote), ClearAfterWake::none};
    };
}

// The two events of a ping-pong, and the daemon that has only these events.
class EventPair {
public:
    explicit EventPair(Mode mode)
    {
        for (const auto* name : {"ping", "pong"})
            (void)value_or_throw(client_.create(name, {.mode = mode}));
    }
    auto by_name() const
    {
        return make_peers<NameEndpoint>(
            [this](const char* name, bool) { return NameEndpoint{daemon_.client(), name}; });
    }
    pid_t pid() const { return daemon_.pid(); }
    auto by_descriptor() const
    {
        return make_peers<EventEndpoint>(
            [this](const char* name, bool) { return EventEndpoint{daemon_.client(), name}; });
    }

private:
    DaemonProcess daemon_{EVFDD_DAEMON};
    Client client_ = daemon_.client();
};

Comparison fdholder(int pairs)
{
    const DaemonProcess daemon{EVFDD_DAEMON};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("db/ready"));
    const auto event = value_or_throw(client.open("db/ready"));
    const auto server = start_fdholder();
    e2e::require(fdholder_connect(server.path().c_str()) == 0 &&
                     fdholder_store(event.fd(), "db/ready") == 0,
                 "s6-fdholder-daemon does not accept a descriptor");
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    return compare({.work = "a descriptor by name", .against = "s6-fdholder-daemon", .goal = 1.0},
                   pairs, batches_per_pair,
                   timed(calls, [&] { (void)value_or_throw(client.open("db/ready")); }),
                   timed(calls, [&] {
                       const UniqueFd fd{fdholder_retrieve("db/ready")};
                       e2e::require(static_cast<bool>(fd), "s6_fdholder_retrieve");
                   }));
}

Comparison blpop(int pairs)
{
    const EventPair events{Mode::automatic};
    const auto redis = start_redis();
    const PinnedToOneCore core{events.pid(), redis.pid()};
    return ping_pong(
        {.work = "set by name -> wake by name", .against = "redis LPUSH, BLPOP", .goal = {}}, pairs,
        CorePlacement::shared, events.by_name(),
        make_peers<RedisEndpoint>(
            [&](const char* key, bool) { return RedisEndpoint{redis.path(), key}; }));
}

template <class Server>
Comparison dbus_signal(const Server& bus, const char* against, int pairs)
{
    const EventPair events{Mode::automatic};
    const PinnedToOneCore core{events.pid(), bus.pid()};
    return ping_pong({.work = "set by name -> wake by name", .against = against, .goal = {}}, pairs,
                     CorePlacement::shared, events.by_name(),
                     make_peers<DbusEndpoint>([&](const char* member, bool is_own) {
                         return DbusEndpoint{bus.path(), member, is_own};
                     }));
}

Comparison dbus_daemon(int pairs)
{
    return dbus_signal(start_dbus(), "a D-Bus signal by dbus-daemon", pairs);
}

Comparison dbus_broker(int pairs)
{
    return dbus_signal(Broker{}, "a D-Bus signal by dbus-broker", pairs);
}

Comparison semaphore(int pairs)
{
    const EventPair events{Mode::semaphore};
    const auto name = [pid = ::getpid()](const char* endpoint) {
        return fmt::format("/evfdd-bench-{}-{}", pid, endpoint);
    };
    auto compared =
        ping_pong({.work = "set -> wake, a semaphore", .against = "sem_post, sem_wait", .goal = {}},
                  pairs, CorePlacement::separate, events.by_descriptor(),
                  make_peers<SemaphoreEndpoint>([&](const char* endpoint, bool) {
                      return SemaphoreEndpoint{name(endpoint)};
                  }));
    for (const auto* endpoint : {"ping", "pong"})
        ::sem_unlink(name(endpoint).c_str());
    return compared;
}

Comparison fifo(int pairs)
{
    const EventPair events{Mode::automatic};
    const e2e::TemporaryDirectory directory;
    return ping_pong({.work = "set -> wake, auto", .against = "a byte through a FIFO", .goal = {}},
                     pairs, CorePlacement::separate, events.by_descriptor(),
                     make_peers<FifoEndpoint>([&](const char* endpoint, bool) {
                         return FifoEndpoint{directory / endpoint};
                     }));
}

Comparison set_and_get(int pairs)
{
    const DaemonProcess daemon{EVFDD_DAEMON};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("db/ready"));
    const auto server = start_redis();
    const Redis redis{server.path()};
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    const std::vector<std::string> names{"db/ready"};
    return compare({.work = "set and show by name", .against = "redis SET, GET", .goal = {}}, pairs,
                   batches_per_pair,
                   timed(calls,
                         [&] {
                             value_or_throw(client.set(names));
                             (void)value_or_throw(client.show("db/ready"));
                         }),
                   timed(calls, [&] {
                       redis.call({"SET", "db/ready", "1"});
                       redis.call({"GET", "db/ready"});
                   }));
}

Comparison publish(int pairs)
{
    constexpr int subscriber_count = 100;
    constexpr int sets = 50; // A batch sets the pulse this many times.
    const DaemonProcess daemon{EVFDD_DAEMON};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("tick", {.mode = Mode::pulse}));
    const auto server = start_redis();
    const Redis publisher{server.path()};
    std::vector<Event> events;
    std::deque<Redis> subscribers;
    for (int i = 0; i < subscriber_count; ++i) {
        events.push_back(value_or_throw(client.open("tick")));
        subscribers.emplace_back(server.path()).call({"SUBSCRIBE", "tick"});
    }
    const std::vector<std::string> names{"tick"};
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    return compare({.work = "a set with 100 subscribers, in one process",
                    .against = "redis PUBLISH",
                    .goal = {}},
                   pairs, batches_per_pair,
                   timed(sets,
                         [&] {
                             value_or_throw(client.set(names));
                             for (const auto& event : events)
                                 e2e::require(value_or_throw(event.wait()) == 1, "a pulse is lost");
                         }),
                   timed(sets, [&] {
                       publisher.call({"PUBLISH", "tick", "1"});
                       for (const auto& subscriber : subscribers)
                           subscriber.receive();
                   }));
}

// Compares the duration of a process of `evfdctl set`, from its start to its exit, with the
// duration of a process of redis-cli, tmux, s6 or flock.
std::vector<Comparison> shell(int pairs)
{
    constexpr int runs = 10;
    constexpr int batches = 2;
    const DaemonProcess daemon{EVFDD_DAEMON};
    const StrippedProgram control{EVFDD_CTL};
    (void)value_or_throw(daemon.client().create("db/ready"));
    const auto redis = start_redis();
    const e2e::TemporaryDirectory directory;
    const auto fifo_directory = directory / "ftrig";
    const auto run = [](const std::vector<std::string>& argv) {
        e2e::require(e2e::run({.argv = argv}).status == 0, argv.at(1));
    };
    const auto tmux = directory / "tmux";
    run({"/usr/bin/env", "tmux", "-S", tmux, "-f", "/dev/null", "new-session", "-d", "sleep",
         "3600"});
    run({"/usr/bin/env", "s6-mkfifodir", fifo_directory});
    const std::vector<std::pair<std::string, std::vector<std::string>>> peers{
        {"redis-cli SET", {"/usr/bin/redis-cli", "-s", redis.path(), "SET", "db/ready", "1"}},
        {"tmux wait-for -S", {"/usr/bin/tmux", "-S", tmux, "wait-for", "-S", "ready"}},
        {"s6-ftrig-notify", {"/usr/bin/s6-ftrig-notify", fifo_directory, "s"}},
        {"flock FILE true", {"/usr/bin/flock", directory / "lock", "/bin/true"}},
    };
    std::vector<Comparison> all;
    const auto timed_run = [&](std::vector<std::string> argv) {
        return timed(runs, [argv = std::move(argv)] {
            e2e::require(e2e::start({.argv = argv}).wait() == 0, argv.front());
        });
    };
    for (const auto& [name, argv] : peers)
        all.push_back(compare(
            {.work = "evfdctl set, the whole process", .against = name, .goal = 1.0}, pairs,
            batches, timed_run({control.path(), "--socket", daemon.path(), "set", "db/ready"}),
            timed_run(argv)));
    run({"/usr/bin/env", "tmux", "-S", tmux, "kill-server"});
    return all;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    using namespace evfd::bench;
    CLI::App app{"Compares evfdd with its alternatives, in alternating batches of one run."};
    int pairs = 9;
    bool is_json = false;
    app.add_option("--pairs", pairs, "Measure this number of pairs for each comparison; at least 9")
        ->check(CLI::Range(min_pairs, 1000));
    app.add_flag("--json", is_json, "Print JSON");
    CLI11_PARSE(app, argc, argv);
    try {
        Report report;
        for (const auto benchmark :
             {fdholder, blpop, dbus_daemon, dbus_broker, set_and_get, publish, semaphore, fifo})
            report.comparisons.push_back(benchmark(pairs));
        for (auto& comparison : shell(pairs))
            report.comparisons.push_back(std::move(comparison));
        fmt::print("{}", is_json ? json(report) : machine() + "\n\n" + table(report));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench-peers: {}\n", failed.what());
        return 1;
    }
}
