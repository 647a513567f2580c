#include "tests/bench/peers/calls_by_name.h"

#include "tests/bench/peers/broker.h"
#include "tests/bench/peers/clients.h"
#include "tests/bench/peers/event_pair.h"
#include "tests/bench/peers/fdholder.h"
#include "tests/bench/peers/servers.h"

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr int calls = 300; // The number of calls in a batch.

} // namespace

Comparison fdholder(const DaemonSettings& settings, int pairs)
{
    const DaemonProcess daemon{settings};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("db/ready"));
    daemon.recover_if_requested();
    const auto event = value_or_throw(client.open("db/ready"));
    const auto server = start_fdholder();
    e2e::require(fdholder_connect(server.path().c_str()) == 0 &&
                     fdholder_store(event.fd(), "db/ready") == 0,
                 "s6-fdholder-daemon does not accept a descriptor");
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    return compare({.work = "a descriptor by name", .against = "s6-fdholder-daemon", .goal = 0.85},
                   pairs, batches_per_pair,
                   timed(calls, [&] { (void)value_or_throw(client.open("db/ready")); }),
                   timed(calls, [&] {
                       const UniqueFd fd{fdholder_retrieve("db/ready")};
                       e2e::require(static_cast<bool>(fd), "s6_fdholder_retrieve");
                   }));
}

Comparison blpop(const DaemonSettings& settings, int pairs)
{
    const EventPair events{settings, Mode::automatic};
    const auto redis = start_redis();
    const PinnedToOneCore core{events.pid(), redis.pid()};
    return ping_pong(
        {.work = "set by name -> wake by name", .against = "redis LPUSH, BLPOP", .goal = 0.95},
        pairs, CorePlacement::shared, events.by_name(),
        make_peers<RedisEndpoint>(
            [&](const char* key, bool) { return RedisEndpoint{redis.path(), key}; }));
}

namespace {

template <class Server>
std::vector<Comparison> dbus_signal(const DaemonSettings& settings, const Server& bus,
                                    const char* against, int pairs)
{
    const EventPair events{settings, Mode::automatic};
    const PinnedToOneCore core{events.pid(), bus.pid()};
    const auto signals = make_peers<DbusEndpoint>(
        [&](const char* member, bool is_own) { return DbusEndpoint{bus.path(), member, is_own}; });
    return {
        ping_pong({.work = "set by name -> wake by name", .against = against, .goal = {}}, pairs,
                  CorePlacement::shared, events.by_name(), signals),
        // A D-Bus signal has no reply, and neither has a oneway call.
        ping_pong({.work = "oneway set by name -> wake by name", .against = against, .goal = 1.0},
                  pairs, CorePlacement::shared, events.by_name_oneway(), signals),
    };
}

} // namespace

std::vector<Comparison> dbus_daemon(const DaemonSettings& settings, int pairs)
{
    return dbus_signal(settings, start_dbus(), "a D-Bus signal by dbus-daemon", pairs);
}

std::vector<Comparison> dbus_broker(const DaemonSettings& settings, int pairs)
{
    return dbus_signal(settings, Broker{}, "a D-Bus signal by dbus-broker", pairs);
}

Comparison set_and_get(const DaemonSettings& settings, int pairs)
{
    const DaemonProcess daemon{settings};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("db/ready"));
    daemon.recover_if_requested();
    const auto server = start_redis();
    const Redis redis{server.path()};
    const PinnedToOneCore core{daemon.pid(), server.pid()};
    const std::vector<std::string> names{"db/ready"};
    return compare({.work = "set and show by name", .against = "redis SET, GET", .goal = 1.0},
                   pairs, batches_per_pair,
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

} // namespace evfd::bench
