#include "tests/bench/daemon_calls.h"

#include "common/envelope.h"
#include "common/eventfd.h"
#include "tests/bench/signal_endpoints.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace evfd::bench {

namespace {

using e2e::must;

} // namespace

Comparison opening(const House& house, int pairs)
{
    constexpr int opens = 400;
    const auto client = house.client();
    (void)must(client.create("db/ready"));
    const auto exchange = exchange_of(house, "Open", R"({"names":["db/ready"]})");
    const Server server{1, handing_over(exchange)};
    const OneCore core{house.pid(), server.pid()};
    auto compared = compare({.work = "open by name, one at a time",
                             .against = "a bare server that hands over an eventfd",
                             .goal = 1.4},
                            pairs, turns_a_pair,
                            timed(opens, [&] { must(client.open("db/ready")); }), timed(opens, [&] {
                                send_whole(server.connection(0), exchange.request);
                                (void)receive_whole(server.connection(0), exchange.reply_bytes);
                            }));
    must(client.remove(std::vector<std::string>{"db/ready"}));
    return compared;
}

namespace {

// What a client of the bare server does that waits, or sets the other one off.
class SocketBall {
public:
    SocketBall(const UniqueFd& socket, const Exchange& set, const Exchange& wait)
        : socket_{&socket}, set_{&set}, wait_{&wait}
    {
    }
    void set() const { call(*set_); }
    void wait() const { call(*wait_); }
    void clear() const {}

private:
    void call(const Exchange& exchange) const
    {
        send_whole(*socket_, exchange.request);
        (void)receive_whole(*socket_, exchange.reply_bytes);
    }
    const UniqueFd* socket_;
    const Exchange* set_;
    const Exchange* wait_;
};

} // namespace

Comparison passing(const House& house, int pairs)
{
    const auto client = house.client();
    for (const auto* name : {"ping", "pong"})
        (void)must(client.create(name, {.mode = Mode::automatic}));
    auto set = exchange_of(house, "Set", R"({"names":["ping"]})");
    auto wait = exchange_of(house, "Wait", R"({"names":["ping"]})"); // It is set, so this is over.
    set.request.front() = sets;
    wait.request.front() = waits;
    const Server server{2, passing_on(set, wait)};

    const OneCore core{house.pid(), server.pid()};
    const auto by_name = [&](Role role) {
        const bool serves = role == Role::serves;
        const auto its = house.client();
        return Player<NameBall>{one<NameBall>(its, serves ? "pong" : "ping"),
                                one<NameBall>(its, serves ? "ping" : "pong"), Clears::nothing};
    };
    const auto bare = [&](Role role) {
        const SocketBall ball{server.connection(role == Role::serves ? 0 : 1), set, wait};
        return Player<SocketBall>{{ball}, {ball}, Clears::nothing};
    };
    auto compared = play({.work = "set by name -> a wait by name is over",
                          .against = "the same messages through a bare server",
                          .goal = 1.4},
                         pairs, Cores::one, by_name, bare);
    must(client.remove(std::vector<std::string>{"ping", "pong"}));
    return compared;
}

namespace {

constexpr int many = 10'000;
constexpr int at_a_time = 100; // Calls that are sent before their answers are read.

std::string creation(int number)
{
    std::string call;
    append_call(call, "io.evfdd.CreateEvent", fmt::format(R"({{"name":"made/{:05}"}})", number),
                Answers::one);
    return call;
}

std::vector<std::string> made_names()
{
    std::vector<std::string> names;
    for (int i = 0; i < many; ++i)
        names.push_back(fmt::format("made/{:05}", i));
    return names;
}

void remove_all(const Client& client, const std::vector<std::string>& names)
{
    constexpr std::size_t at_most = 253; // In a call.
    for (std::size_t i = 0; i < names.size(); i += at_most)
        must(client.remove(std::vector<std::string>(
            names.begin() + static_cast<std::ptrdiff_t>(i),
            names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), i + at_most)))));
}

} // namespace

Making making(const House& house, int pairs)
{
    const auto client = house.client();
    const auto names = made_names();
    std::vector<std::string> batches;
    for (int i = 0; i < many; ++i) {
        if (i % at_a_time == 0)
            batches.emplace_back();
        batches.back() += creation(i);
    }
    const auto exchange = exchange_of(house, "CreateEvent", R"({"name":"made/00000"})");
    const auto socket = connect_to(house.path());
    std::vector<double> rates;
    remove_all(client, std::vector<std::string>{"made/00000"});

    const auto ours = [&](Sample& sample) {
        const auto cpu = cpu_time(house.pid());
        const auto begin = monotonic_now();
        for (const auto& batch : batches) {
            send_whole(socket, batch);
            receive_whole(socket, at_a_time * exchange.reply_bytes);
        }
        sample.push_back((monotonic_now() - begin) / many);
        rates.push_back(many / std::chrono::duration<double>{cpu_time(house.pid()) - cpu}.count());
        remove_all(client, names);
    };
    const auto bare = [&](Sample& sample) {
        std::vector<UniqueFd> made;
        made.reserve(many);
        std::array<int, 2> ends{};
        e2e::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0,
                     "socketpair(2)");
        const UniqueFd near{ends[0]};
        const UniqueFd far{ends[1]};
        const auto begin = monotonic_now();
        for (int i = 0; i < many; ++i) {
            made.push_back(must(make_eventfd(0, Counter::plain)));
            send_whole(near, exchange.request);
            receive_whole(far, exchange.request.size());
        }
        sample.push_back((monotonic_now() - begin) / many);
    };
    auto compared = compare({.work = "create, 100 calls at a time, each",
                             .against = "eventfd, send, recv of the same bytes",
                             .goal = 4.0},
                            pairs, 1, ours, bare);
    return {std::move(compared),
            {.what = "creates a second of the daemon's CPU time, median",
             .value = median(rates),
             .unit = "/s",
             .least = 150'000}};
}

Comparison pulsing(const House& house, int pairs)
{
    constexpr int followers = 5'000;
    constexpr int sets_a_turn = 5;
    const auto client = house.client();
    (void)must(client.create("tick", {.mode = Mode::pulse}));
    std::vector<Event> all;
    std::vector<UniqueFd> eventfds;
    for (int i = 0; i < followers; ++i) {
        all.push_back(must(client.open("tick")));
        eventfds.push_back(must(make_eventfd(0, Counter::plain)));
    }
    const std::vector<std::string> names{"tick"};
    auto compared =
        compare({.work = "set of a pulse that 5,000 follow",
                 .against = "5,000 times write(2)",
                 .goal = 2.5},
                pairs, turns_a_pair, timed(sets_a_turn, [&] { must(client.set(names)); }),
                timed(sets_a_turn, [&] {
                    for (const auto& eventfd : eventfds)
                        must(add(eventfd, 1));
                }));
    all.clear();
    must(client.remove(names));
    return compared;
}

Comparison crowd(const std::string& daemon, int pairs)
{
    constexpr int calls = 300;
    const House full{daemon};
    const House empty{daemon};
    const auto of_full = full.client();
    const auto of_empty = empty.client();
    const auto limit = must(of_full.status()).descriptor_limit;
    const auto objects = std::min<std::int64_t>(15'000, limit * 3 / 4 - 100);
    const auto clients = std::min<std::int64_t>(5'000, limit / 4 - 200);
    for (std::int64_t i = 0; i < objects; ++i)
        (void)must(of_full.create(fmt::format("crowd/{}", i)));
    std::vector<UniqueFd> idle;
    for (std::int64_t i = 0; i < clients; ++i)
        idle.push_back(connect_to(full.path()));
    for (const auto& client : {of_full, of_empty})
        (void)must(client.create("one"));
    const OneCore core{full.pid(), empty.pid()};
    return compare(
        {.work = fmt::format("show, beside {} objects and {} idle clients", objects, clients),
         .against = "evfdd with one object and one client",
         .goal = 1.1},
        pairs, turns_a_pair, timed(calls, [&] { (void)must(of_full.show("one")); }),
        timed(calls, [&] { (void)must(of_empty.show("one")); }));
}

} // namespace evfd::bench
