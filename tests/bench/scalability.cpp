#include "tests/bench/scalability.h"

#include "common/envelope.h"
#include "tests/bench/many_names.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/server.h"

#include <fmt/format.h>

#include <algorithm>

namespace evfd::bench {

namespace {

using e2e::value_or_throw;

constexpr std::int64_t max_timers = 5'000;
constexpr std::int64_t max_waited_names = 5'000;
constexpr std::int64_t names_per_wait = 250;

// Returns a call that waits for any of the events from the number `first` on.
std::string wait_call(std::int64_t first)
{
    std::string items;
    for (std::int64_t i = first; i < first + names_per_wait; ++i)
        items += fmt::format(R"({}{{"name":"{}"}})", items.empty() ? "" : ",", name_of(i));
    std::string call;
    append_call(call, "io.evfdd.Wait", fmt::format(R"({{"items":[{}],"require":"any"}})", items),
                ReplyMode::one);
    return call;
}

// A daemon with many names, waits and idle clients.
class LoadedDaemon {
public:
    LoadedDaemon(const DaemonSettings& settings, std::int64_t names) : daemon_{settings}
    {
        (void)value_or_throw(client_.create("one"));
        const auto timers = arm_timers(daemon_, std::min(max_timers, names / 2));
        const auto events = create_names(daemon_, names - timers.wanted);
        timers_ = timers.accepted;
        names_ = {.wanted = names,
                  .accepted = timers.accepted + events.accepted,
                  .refusal = timers.refusal.empty() ? events.refusal : timers.refusal};
        daemon_.recover_if_requested();
        wait_for(std::min(max_waited_names, events.accepted));
        connect_idle_clients();
    }

    const DaemonProcess& daemon() const { return daemon_; }
    const Client& client() const { return client_; }
    std::string description() const
    {
        return fmt::format("{}, {} armed, {} waited for, {} clients", describe(names_),
                           fmt::group_digits(timers_), fmt::group_digits(waited_),
                           fmt::group_digits(connected_));
    }

private:
    void wait_for(std::int64_t count)
    {
        for (std::int64_t i = 0; i + names_per_wait <= count; i += names_per_wait) {
            waiters_.push_back(connect_to(daemon_.path()));
            send_all(waiters_.back(), wait_call(i));
        }
        const auto wanted = static_cast<std::int64_t>(waiters_.size()) * names_per_wait;
        // If the daemon refuses a wait, the description has the smaller number.
        e2e::poll_until(
            [&] { return (waited_ = value_or_throw(client_.status()).waits) == wanted; });
    }
    void connect_idle_clients()
    {
        const auto limit = value_or_throw(client_.status()).descriptor_limit;
        const auto idle = std::min<std::int64_t>(5'000, limit / 4 - 250);
        for (std::int64_t i = 0; i < idle; ++i)
            idle_.push_back(connect_to(daemon_.path()));
        const auto wanted = idle + static_cast<std::int64_t>(waiters_.size()) + 1;
        e2e::poll_until(
            [&] { return (connected_ = value_or_throw(client_.status()).connections) == wanted; });
    }

    DaemonProcess daemon_;
    Client client_ = daemon_.client();
    std::int64_t timers_ = 0;
    ManyNames names_{};
    std::int64_t waited_ = 0;
    std::int64_t connected_ = 0;
    std::vector<UniqueFd> waiters_;
    std::vector<UniqueFd> idle_;
};

} // namespace

std::vector<Comparison> scalability(const DaemonSettings& settings, std::int64_t names, int pairs)
{
    constexpr int calls = 300;
    constexpr double goal = 1.1;
    auto with_quota = settings;
    with_quota.objects = names + 1;
    const LoadedDaemon loaded{with_quota, names};
    const DaemonProcess empty{settings};
    const auto empty_client = empty.client();
    (void)value_or_throw(empty_client.create("one"));
    empty.recover_if_requested();
    const PinnedApart cores{loaded.daemon().pid(), empty.pid()};
    const auto against = "evfdd with one name and one client";
    const auto compare_calls = [&](const char* method, const auto& call) {
        return compare({.work = fmt::format("{} beside {}", method, loaded.description()),
                        .against = against,
                        .goal = goal},
                       pairs, batches_per_pair, timed(calls, [&] { call(loaded.client()); }),
                       timed(calls, [&] { call(empty_client); }));
    };
    const std::vector<std::string> one{"one"};
    return {
        compare_calls("show",
                      [](const Client& client) { (void)value_or_throw(client.show("one")); }),
        compare_calls("set", [&](const Client& client) { value_or_throw(client.set(one)); }),
    };
}

} // namespace evfd::bench
