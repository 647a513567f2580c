#include "tests/bench/peers/many_clients.h"

#include "common/envelope.h"
#include "tests/bench/peers/concurrent_clients.h"
#include "tests/bench/peers/servers.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/server.h"

#include <fmt/format.h>

#include <cmath>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr int client_count = 64;
constexpr int calls_per_batch_of_all = 50'000;
constexpr int batches = 2;
constexpr int server_core = 0;
constexpr int client_core = 1;

std::string event_name(int client)
{
    return fmt::format("set/{:02}", client);
}

// Returns connections with a session each, as a Client of the library has.
ConcurrentClients evfdd_clients(const DaemonProcess& daemon)
{
    std::vector<ConcurrentClient> clients;
    std::size_t reply_bytes = 0;
    for (int i = 0; i < client_count; ++i) {
        const auto parameters = fmt::format(R"({{"items":[{{"name":"{}"}}]}})", event_name(i));
        auto [request, bytes] = record_exchange(daemon, "Set", parameters);
        reply_bytes = bytes;
        auto connection = connect_to(daemon.path());
        std::string resume;
        append_call(resume, "io.evfdd.Resume",
                    fmt::format(R"({{"session":"{:032x}","sequence":0}})", i + 1), ReplyMode::none);
        send_all(connection, resume);
        clients.push_back({std::move(connection), std::move(request)});
    }
    return {std::move(clients), reply_bytes};
}

ConcurrentClients redis_clients(const PeerServer& redis)
{
    std::vector<ConcurrentClient> clients;
    for (int i = 0; i < client_count; ++i)
        clients.push_back(
            {connect_to(redis.path()),
             fmt::format("*3\r\n$3\r\nSET\r\n$6\r\n{}\r\n$1\r\n1\r\n", event_name(i))});
    return {std::move(clients), std::string_view{"+OK\r\n"}.size()};
}

// Runs redis-benchmark and returns the time for each call by its own clock.
nanoseconds run_redis_benchmark(const PeerServer& redis)
{
    const auto ran = e2e::run(
        {.argv = {"/usr/bin/redis-benchmark", "-s", redis.path(), "-t", "set", "--csv", "-c",
                  std::to_string(client_count), "-n", std::to_string(calls_per_batch_of_all)},
         .in_child = [] { pin_to_core(client_core); }});
    // A line of the output is, for example: "SET","123456.78","0.2",...
    constexpr std::string_view before = R"("SET",")";
    const auto at = ran.out.find(before);
    e2e::require(ran.status == 0 && at != std::string::npos, "redis-benchmark: " + ran.err);
    const auto calls_per_second = std::stod(ran.out.substr(at + before.size()));
    return nanoseconds{std::llround(1e9 / calls_per_second)};
}

// Returns a Measure of the time for each call of the clients.
Measure timed_calls(ConcurrentClients& clients)
{
    return [&clients](Sample& sample) {
        const auto begin = monotonic_now();
        clients.call(calls_per_batch_of_all);
        sample.push_back((monotonic_now() - begin) / calls_per_batch_of_all);
    };
}

Figure calls_per_second(const char* name, const Comparison& comparison, Sample Pair::* side)
{
    std::vector<double> rates;
    for (const auto& pair : comparison.pairs)
        rates.push_back(1e9 / static_cast<double>(percentile(pair.*side, 0.5).count()));
    return {.name = name, .value = median(rates), .unit = "/s"};
}

} // namespace

ManyClients many_clients(const DaemonSettings& settings, int pairs)
{
    const DaemonProcess daemon{settings};
    for (int i = 0; i < client_count; ++i)
        (void)value_or_throw(daemon.client().create(event_name(i), {.mode = Mode::semaphore}));
    daemon.recover_if_requested();
    const auto redis = start_redis();
    auto ours = evfdd_clients(daemon);
    auto theirs = redis_clients(redis);
    for (const auto server : {daemon.pid(), redis.pid()})
        pin_to_core(server_core, server);
    pin_to_core(client_core);
    const auto* const work = "64 clients, each a set by name, a call";
    ManyClients result;
    // A goal of 1 for the time of a call is a goal of 1 for the calls a second.
    result.comparisons.push_back(compare(
        {.work = work, .against = "redis-benchmark SET, 64 clients", .goal = 1.0}, pairs, batches,
        timed_calls(ours), [&](Sample& sample) { sample.push_back(run_redis_benchmark(redis)); }));
    result.comparisons.push_back(
        compare({.work = work, .against = "redis SET from the same 64 clients", .goal = {}}, pairs,
                batches, timed_calls(ours), timed_calls(theirs)));
    pin_to_core(any_core);
    result.rates = {
        calls_per_second("64 clients, calls of evfdd a second", result.comparisons[0], &Pair::ours),
        calls_per_second("64 clients, calls of redis-benchmark a second", result.comparisons[0],
                         &Pair::baseline),
        calls_per_second("64 clients, calls of redis a second, from the same clients",
                         result.comparisons[1], &Pair::baseline),
    };
    return result;
}

} // namespace evfd::bench
