// evfdd-bench-peers: evfdd beside what one would pick instead.
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
constexpr int calls = 300; // In a turn.

template <class Ball, class Make>
auto players(Make make)
{
    return [make](Role role) {
        const bool serves = role == Role::serves;
        std::vector<Ball> own;
        std::vector<Ball> others;
        own.push_back(make(serves ? "pong" : "ping", true));
        others.push_back(make(serves ? "ping" : "pong", false));
        return PingPongPeer<Ball>{std::move(own), std::move(others), ClearAfterWake::nothing};
    };
}

// Events for a play, of a daemon of their own.
class Court {
public:
    explicit Court(Mode mode)
    {
        for (const auto* name : {"ping", "pong"})
            (void)value_or_throw(client_.create(name, {.mode = mode}));
    }
    auto by_name() const
    {
        return players<NameEndpoint>(
            [this](const char* name, bool) { return NameEndpoint{house_.client(), name}; });
    }
    pid_t pid() const { return house_.pid(); }
    auto by_descriptor() const
    {
        return players<EventEndpoint>(
            [this](const char* name, bool) { return EventEndpoint{house_.client(), name}; });
    }

private:
    House house_{EVFDD_DAEMON};
    Client client_ = house_.client();
};

Comparison fdholder(int pairs)
{
    const House house{EVFDD_DAEMON};
    const auto client = house.client();
    (void)value_or_throw(client.create("db/ready"));
    const auto event = value_or_throw(client.open("db/ready"));
    const auto server = start_fdholder();
    e2e::require(fdholder_connect(server.path().c_str()) == 0 &&
                     fdholder_store(event.fd(), "db/ready") == 0,
                 "s6-fdholder-daemon does not take a descriptor");
    const PinnedToOneCore core{house.pid(), server.pid()};
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
    const Court court{Mode::automatic};
    const auto redis = start_redis();
    const PinnedToOneCore core{court.pid(), redis.pid()};
    return ping_pong(
        {.work = "set by name -> wake by name", .against = "redis LPUSH, BLPOP", .goal = {}}, pairs,
        CorePlacement::one, court.by_name(),
        players<RedisBall>([&](const char* key, bool) { return RedisBall{redis.path(), key}; }));
}

template <class Server>
Comparison signal(const Server& bus, const char* which, int pairs)
{
    const Court court{Mode::automatic};
    const PinnedToOneCore core{court.pid(), bus.pid()};
    return ping_pong({.work = "set by name -> wake by name", .against = which, .goal = {}}, pairs,
                     CorePlacement::one, court.by_name(),
                     players<BusBall>([&](const char* member, bool is_own) {
                         return BusBall{bus.path(), member, is_own};
                     }));
}

Comparison dbus_daemon(int pairs)
{
    return signal(start_dbus(), "a D-Bus signal by dbus-daemon", pairs);
}

Comparison dbus_broker(int pairs)
{
    return signal(Broker{}, "a D-Bus signal by dbus-broker", pairs);
}

Comparison semaphore(int pairs)
{
    const Court court{Mode::semaphore};
    const auto name = [pid = ::getpid()](const char* ball) {
        return fmt::format("/evfdd-bench-{}-{}", pid, ball);
    };
    auto compared = ping_pong(
        {.work = "set -> wake, a semaphore", .against = "sem_post, sem_wait", .goal = {}}, pairs,
        CorePlacement::own, court.by_descriptor(),
        players<SemaphoreBall>([&](const char* ball, bool) { return SemaphoreBall{name(ball)}; }));
    for (const auto* ball : {"ping", "pong"})
        ::sem_unlink(name(ball).c_str());
    return compared;
}

Comparison fifo(int pairs)
{
    const Court court{Mode::automatic};
    const e2e::TemporaryDirectory directory;
    return ping_pong(
        {.work = "set -> wake, auto", .against = "a byte through a FIFO", .goal = {}}, pairs,
        CorePlacement::own, court.by_descriptor(),
        players<FifoBall>([&](const char* ball, bool) { return FifoBall{directory / ball}; }));
}

Comparison set_and_get(int pairs)
{
    const House house{EVFDD_DAEMON};
    const auto client = house.client();
    (void)value_or_throw(client.create("db/ready"));
    const auto server = start_redis();
    const Redis redis{server.path()};
    const PinnedToOneCore core{house.pid(), server.pid()};
    const std::vector<std::string> names{"db/ready"};
    return compare({.work = "set and look by name", .against = "redis SET, GET", .goal = {}}, pairs,
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
    constexpr int followers = 100;
    constexpr int sets = 50; // In a turn.
    const House house{EVFDD_DAEMON};
    const auto client = house.client();
    (void)value_or_throw(client.create("tick", {.mode = Mode::pulse}));
    const auto server = start_redis();
    const Redis publisher{server.path()};
    std::vector<Event> events;
    std::deque<Redis> subscribers;
    for (int i = 0; i < followers; ++i) {
        events.push_back(value_or_throw(client.open("tick")));
        subscribers.emplace_back(server.path()).call({"SUBSCRIBE", "tick"});
    }
    const std::vector<std::string> names{"tick"};
    const PinnedToOneCore core{house.pid(), server.pid()};
    return compare(
        {.work = "a set that 100 hear, in one process", .against = "redis PUBLISH", .goal = {}},
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

// A set from the shell, as a whole process, beside another command.
std::vector<Comparison> shell(int pairs)
{
    constexpr int runs = 10;
    constexpr int turns = 2;
    const House house{EVFDD_DAEMON};
    const StrippedProgram control{EVFDD_CTL};
    (void)value_or_throw(house.client().create("db/ready"));
    const auto redis = start_redis();
    const e2e::TemporaryDirectory directory;
    const auto fifo_directory = directory / "ftrig";
    const auto run = [](const std::vector<std::string>& words) {
        e2e::require(e2e::run({.words = words}).status == 0, words.at(1));
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
    const auto timed_run = [&](std::vector<std::string> words) {
        return timed(runs, [words = std::move(words)] {
            e2e::require(e2e::start({.words = words}).wait() == 0, words.front());
        });
    };
    for (const auto& [name, words] : peers)
        all.push_back(
            compare({.work = "evfdctl set, the whole process", .against = name, .goal = 1.0}, pairs,
                    turns, timed_run({control.path(), "--socket", house.path(), "set", "db/ready"}),
                    timed_run(words)));
    run({"/usr/bin/env", "tmux", "-S", tmux, "kill-server"});
    return all;
}

} // namespace

} // namespace evfd::bench

int main(int argc, char** argv)
{
    using namespace evfd::bench;
    CLI::App app{"Measures evfdd beside its peers, in one run and by turns."};
    int pairs = 9;
    bool is_json = false;
    app.add_option("--pairs", pairs, "How many of each; at least 9")
        ->check(CLI::Range(min_pairs, 1000));
    app.add_flag("--json", is_json, "Print JSON");
    CLI11_PARSE(app, argc, argv);
    try {
        Report report;
        for (const auto work :
             {fdholder, blpop, dbus_daemon, dbus_broker, set_and_get, publish, semaphore, fifo})
            report.comparisons.push_back(work(pairs));
        for (auto& comparison : shell(pairs))
            report.comparisons.push_back(std::move(comparison));
        fmt::print("{}", is_json ? json(report) : machine() + "\n\n" + table(report));
    } catch (const std::exception& failed) {
        fmt::print(stderr, "evfdd-bench-peers: {}\n", failed.what());
        return 1;
    }
}
