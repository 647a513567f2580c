#include "tests/bench/peers/descriptors.h"

#include "tests/bench/peers/clients.h"
#include "tests/bench/peers/event_pair.h"
#include "tests/bench/peers/servers.h"

#include <fmt/format.h>

#include <deque>

namespace evfd::bench {

using e2e::value_or_throw;

Comparison semaphore(const DaemonSettings& settings, int pairs)
{
    const EventPair events{settings, Mode::semaphore};
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

Comparison fifo(const DaemonSettings& settings, int pairs)
{
    const EventPair events{settings, Mode::automatic};
    const e2e::TemporaryDirectory directory;
    return ping_pong({.work = "set -> wake, auto", .against = "a byte through a FIFO", .goal = {}},
                     pairs, CorePlacement::separate, events.by_descriptor(),
                     make_peers<FifoEndpoint>([&](const char* endpoint, bool) {
                         return FifoEndpoint{directory / endpoint};
                     }));
}

Comparison publish(const DaemonSettings& settings, int pairs)
{
    constexpr int subscriber_count = 100;
    constexpr int sets = 50; // A batch sets the pulse this many times.
    const DaemonProcess daemon{settings};
    const auto client = daemon.client();
    (void)value_or_throw(client.create("tick", {.mode = Mode::pulse}));
    daemon.recover_if_requested();
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

} // namespace evfd::bench
