#include "tests/bench/daemon_calls.h"

#include "common/envelope.h"
#include "common/eventfd.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/server.h"
#include "tests/bench/signal_endpoints.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

} // namespace

Comparison open_latency(const DaemonProcess& daemon, int pairs)
{
    constexpr int opens = 400;
    const auto client = daemon.client();
    (void)value_or_throw(client.create("db/ready"));
    daemon.recover_if_requested();
    const auto exchange = record_exchange(daemon, "Open", R"({"items":[{"name":"db/ready"}]})");
    const BareServer server{1, reply_with_descriptor(exchange)};
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    auto compared =
        compare({.work = "open by name, one at a time",
                 .against = "a bare server that passes an eventfd",
                 .goal = 1.3},
                pairs, batches_per_pair,
                timed(opens, [&] { value_or_throw(client.open("db/ready")); }), timed(opens, [&] {
                    send_all(server.connection(0), exchange.request);
                    (void)receive_exactly(server.connection(0), exchange.reply_bytes);
                }));
    value_or_throw(client.delete_object(std::vector<std::string>{"db/ready"}));
    return compared;
}

namespace {

// An endpoint of a ping-pong. The endpoint is a client of the bare server.
class SocketEndpoint {
public:
    SocketEndpoint(const UniqueFd& socket, const Exchange& set, const Exchange& wait)
        : socket_{&socket}, set_{&set}, wait_{&wait}
    {
    }
    void set() const { call(*set_); }
    void wait() const { call(*wait_); }
    void clear() const {}

private:
    void call(const Exchange& exchange) const
    {
        send_all(*socket_, exchange.request);
        (void)receive_exactly(*socket_, exchange.reply_bytes);
    }
    const UniqueFd* socket_;
    const Exchange* set_;
    const Exchange* wait_;
};

} // namespace

Comparison signal_by_name(const DaemonProcess& daemon, int pairs)
{
    const auto client = daemon.client();
    for (const auto* name : {"ping", "pong"})
        (void)value_or_throw(client.create(name, {.mode = Mode::automatic}));
    daemon.recover_if_requested();
    auto set = record_exchange(daemon, "Set", R"({"items":[{"name":"ping"}]})");
    // The call Set above has set the event, so this wait ends at once.
    auto wait = record_exchange(daemon, "Wait", R"({"items":[{"name":"ping"}]})");
    set.request.front() = set_tag;
    wait.request.front() = wait_tag;
    const BareServer server{2, relay_sets(set, wait)};

    const PinnedToOneCore core{daemon.pid(), server.pid()};
    const auto by_name = [&](Role role) {
        const bool initiates = role == Role::initiator;
        const auto own_client = daemon.client();
        return PingPongPeer<NameEndpoint>{
            vector_of_one<NameEndpoint>(own_client, initiates ? "pong" : "ping"),
            vector_of_one<NameEndpoint>(own_client, initiates ? "ping" : "pong"),
            ClearAfterWake::none};
    };
    const auto bare = [&](Role role) {
        const SocketEndpoint endpoint{server.connection(role == Role::initiator ? 0 : 1), set,
                                      wait};
        return PingPongPeer<SocketEndpoint>{{endpoint}, {endpoint}, ClearAfterWake::none};
    };
    auto compared = ping_pong({.work = "set by name -> wait by name ends",
                               .against = "the same messages through a bare server",
                               .goal = 1.2},
                              pairs, CorePlacement::shared, by_name, bare);
    value_or_throw(client.delete_object(std::vector<std::string>{"ping", "pong"}));
    return compared;
}

namespace {

constexpr int objects_to_create = 10'000;
constexpr int calls_per_batch = 100; // How many calls are sent before their replies are read.

std::string create_call(int number)
{
    std::string call;
    append_call(call, "io.evfdd.CreateEvent", fmt::format(R"({{"name":"made/{:05}"}})", number),
                ReplyMode::one);
    return call;
}

std::vector<std::string> object_names()
{
    std::vector<std::string> names;
    for (int i = 0; i < objects_to_create; ++i)
        names.push_back(fmt::format("made/{:05}", i));
    return names;
}

void delete_all(const Client& client, const std::vector<std::string>& names)
{
    constexpr std::size_t at_most = 253; // The largest number of names in one call.
    for (std::size_t i = 0; i < names.size(); i += at_most)
        value_or_throw(client.delete_object(std::vector<std::string>(
            names.begin() + static_cast<std::ptrdiff_t>(i),
            names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), i + at_most)))));
}

} // namespace

CreateThroughput create_throughput(const DaemonProcess& daemon, int pairs)
{
    const auto client = daemon.client();
    const auto names = object_names();
    std::vector<std::string> batches;
    for (int i = 0; i < objects_to_create; ++i) {
        if (i % calls_per_batch == 0)
            batches.emplace_back();
        batches.back() += create_call(i);
    }
    const auto exchange = record_exchange(daemon, "CreateEvent", R"({"name":"made/00000"})");
    daemon.recover_if_requested();
    const auto socket = connect_to(daemon.path());
    std::vector<double> rates;
    delete_all(client, std::vector<std::string>{"made/00000"});

    const auto ours = [&](Sample& sample) {
        const auto cpu = cpu_time(daemon.pid());
        const auto begin = monotonic_now();
        for (const auto& batch : batches) {
            send_all(socket, batch);
            receive_exactly(socket, calls_per_batch * exchange.reply_bytes);
        }
        sample.push_back((monotonic_now() - begin) / objects_to_create);
        rates.push_back(objects_to_create /
                        std::chrono::duration<double>{cpu_time(daemon.pid()) - cpu}.count());
        delete_all(client, names);
    };
    const auto bare = [&](Sample& sample) {
        std::vector<UniqueFd> created;
        created.reserve(objects_to_create);
        std::array<int, 2> ends{};
        e2e::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0,
                     "socketpair(2)");
        const UniqueFd client_end{ends[0]};
        const UniqueFd server_end{ends[1]};
        const auto begin = monotonic_now();
        for (int i = 0; i < objects_to_create; ++i) {
            created.push_back(value_or_throw(make_eventfd(0, Counter::plain)));
            send_all(client_end, exchange.request);
            receive_exactly(server_end, exchange.request.size());
        }
        sample.push_back((monotonic_now() - begin) / objects_to_create);
    };
    auto compared = compare({.work = "create, 100 calls at a time, each",
                             .against = "eventfd, send, recv of the same bytes",
                             .goal = 1.2},
                            pairs, 1, ours, bare);
    return {std::move(compared),
            {.name = "creates per second of the daemon's CPU time, median",
             .value = median(rates),
             .unit = "/s",
             .min = 300'000}};
}

Comparison broadcast(const DaemonProcess& daemon, int pairs)
{
    constexpr int subscribers = 5'000;
    constexpr int sets_per_batch = 5;
    const auto client = daemon.client();
    (void)value_or_throw(client.create("tick", {.mode = Mode::pulse}));
    daemon.recover_if_requested();
    std::vector<Event> all;
    std::vector<UniqueFd> eventfds;
    for (int i = 0; i < subscribers; ++i) {
        all.push_back(value_or_throw(client.open("tick")));
        eventfds.push_back(value_or_throw(make_eventfd(0, Counter::plain)));
    }
    const std::vector<std::string> names{"tick"};
    auto compared = compare({.work = "set of a pulse with 5,000 subscribers",
                             .against = "5,000 times write(2)",
                             .goal = 2.5},
                            pairs, batches_per_pair,
                            timed(sets_per_batch, [&] { value_or_throw(client.set(names)); }),
                            timed(sets_per_batch, [&] {
                                for (const auto& eventfd : eventfds)
                                    value_or_throw(add(eventfd, 1));
                            }));
    all.clear();
    value_or_throw(client.delete_object(names));
    return compared;
}

} // namespace evfd::bench
