// A registry for unit tests, with the waits and monitors that get its changes.
//
// A fixture has an event loop that runs only when the test calls it, so nothing happens between two
// statements of a test. The users are alice, who owns the objects of RegistryFixture, and bob.
// Descriptors come from the kernel as they do in the daemon.
//
// crash() ends a fixture the way SIGKILL ends the daemon: no destructor runs, and only the
// descriptors of the state store survive, as in an fd store. A second fixture that is built from
// these descriptors must recover everything that was committed.
#pragma once

#include "common/eventfd.h"
#include "daemon/objects/recovery.h"
#include "daemon/objects/registry.h"
#include "daemon/service/reply_cache.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/waits.h"
#include "tests/support/catch.h"
#include "tests/support/delivering_registry.h"
#include "tests/support/literals.h"
#include "tests/support/stored_fds.h"

#include <poll.h>
#include <unistd.h>

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd::daemon {

using namespace std::chrono_literals;
using namespace std::string_literals;

inline constexpr uid_t alice = 2001;
inline constexpr uid_t bob = 2002;
// A budget of descriptors that is large enough for every test, except for tests of the budget
// itself.
inline constexpr std::int64_t ample_budget = 10'000;

inline Peer make_peer(uid_t uid)
{
    return {uid, uid, 4711, {}};
}

// Returns an incrementer. All incrementers of a process share one AIO context, because a machine
// has few AIO contexts, and because the kernel takes long to destroy one. A child process needs a
// context of its own.
inline EventfdIncrementer make_incrementer()
{
    static std::optional<EventfdIncrementer> shared;
    static pid_t owner = 0;
    if (std::exchange(owner, ::getpid()) != ::getpid()) {
        auto created = EventfdIncrementer::create();
        REQUIRE(created);
        shared.emplace(*std::move(created));
    }
    return *shared;
}

inline Items<protocol::Item> names(std::initializer_list<std::string_view> list)
{
    Items<protocol::Item> items;
    for (const auto text : list)
        items.list.push_back({*Name::parse(text)});
    return items;
}

// Returns the items of a Set call that adds `tokens` tokens to each event in the list.
inline Items<protocol::SetItem> set_items(std::initializer_list<std::string_view> list,
                                          std::int64_t tokens)
{
    Items<protocol::SetItem> items;
    for (const auto text : list)
        items.list.push_back({.name = *Name::parse(text), .count = protocol::Tokens{tokens}});
    return items;
}

// Returns the items of a Wait call that waits for `count` tokens of each object in the list.
inline Items<protocol::WaitItem> wait_items(std::initializer_list<std::string_view> list,
                                            std::int64_t count = 1, bool existing = false)
{
    Items<protocol::WaitItem> items;
    for (const auto text : list)
        items.list.push_back(
            {.name = *Name::parse(text), .count = protocol::Count{count}, .existing = existing});
    return items;
}

// Returns a charge for one descriptor, for tests that have no registry. The charge comes from a
// shared pool that is large enough for every test.
inline SharedPool::Charge ample_descriptor()
{
    static SharedPool pool{ample_budget};
    return pool.take_unchecked({alice, alice});
}

// Returns an eventfd that has the number of the event. The eventfd is in no stash, and alice is
// charged for it.
inline Event::Descriptor make_descriptor(const Event& event, Quota& quota)
{
    auto eventfd = event.make_descriptor();
    REQUIRE(eventfd);
    return {FdStash::Stored{*std::move(eventfd)}, alice,
            quota.charge_unchecked(alice, Resource::opened_events), ample_descriptor()};
}

// Adds a subscription with the descriptor `fd`, and returns the subscriber's duplicate.
inline UniqueFd subscribe(SubscriptionTable& table, const Token& token, Result<UniqueFd> fd,
                          Quota& quota)
{
    static std::uint64_t last_id = 0;
    REQUIRE(fd);
    auto copy = duplicate(*fd);
    REQUIRE(copy);
    table.add(token, {++last_id, FdStash::Stored{*std::move(fd)},
                      *quota.charge(alice, Resource::subscriptions), ample_descriptor()});
    return *std::move(copy);
}

inline void run_iterations(EventLoop& loop, int iterations)
{
    for (int i = 0; i < iterations; ++i)
        REQUIRE(loop.run_once(0ns));
}

// Runs the loop until no deferred task is left, but for at least twice the time that the daemon
// waits between two deliveries of edges. After this time, runs at most 100 further rounds, even if
// deferred tasks are left.
inline void run_until_idle(EventLoop& loop)
{
    const auto edges_enabled = monotonic_deadline(2 * nanoseconds{min_edge_interval});
    int rounds = 0;
    do {
        run_iterations(loop, 30);
    } while (monotonic_now() < edges_enabled || (loop.has_deferred() && ++rounds < 100));
}

inline bool is_ready(const UniqueFd& fd, short events = POLLIN)
{
    pollfd polled{fd.get(), events, 0};
    return ::poll(&polled, 1, 0) == 1 && (polled.revents & events) != 0;
}

inline std::string error_name(const Refusal& refusal)
{
    return std::visit([](const auto& reason) { return std::string{reason.error}; },
                      refusal.reason());
}

// Returns "ok" for a success, and the name of the error for a refusal.
template <class T>
std::string verdict(const Outcome<T>& outcome)
{
    return outcome ? "ok" : error_name(outcome.error());
}

// A registry whose changes reach waits and monitors.
struct RegistryFixture final {
    RegistryFixture() = default;
    // Recovers the state that an earlier instance left in the descriptors `inherited`.
    explicit RegistryFixture(StateStore::Descriptors inherited)
        : state_store{loop, std::move(inherited), recovered}
    {
        sessions = Recovery{registry, quota, recovered}.run();
        owner.id = registry.ids.next();
    }

    // Starts a wait and delivers the changes, as the service does.
    Outcome<std::unique_ptr<Wait>> start(const Peer& peer, Quota::Charge charge,
                                         const protocol::Wait& request, Wait::Wake wake,
                                         CallId call = {},
                                         std::optional<HoldRequest> hold_request = {})
    {
        auto wait =
            waits.start(peer, std::move(charge), request, std::move(wake),
                        delivery.deliver_before(request, peer), call, std::move(hold_request));
        delivery.apply();
        return wait;
    }
    // Changes the policy and delivers the changes, as the service does.
    void change_policy(Policy policy)
    {
        delivery.deliver_before_ending_waits();
        const auto before = registry.authorization.set_policy(std::move(policy));
        waits.on_policy_changed();
        monitors.on_policy_changed(before);
        delivery.apply();
    }

    void create(std::string_view name, Mode mode = Mode::manual, std::int64_t initial = 0,
                Permissions permissions = "0666"_permissions)
    {
        REQUIRE(registry.create(owner, {.name = *Name::parse(name),
                                        .mode = mode,
                                        .initial = protocol::InitialCount{initial},
                                        .permissions = permissions}));
    }
    Event& event(std::string_view name)
    {
        return *registry.objects.find(*Name::parse(name))->event();
    }
    // Returns the descriptor that a client gets by the call Open.
    UniqueFd open(std::string_view name)
    {
        auto opened = registry.open(owner, names({name}));
        REQUIRE(opened);
        REQUIRE(opened->front().file_descriptor);
        return received_copy(*opened->front().file_descriptor);
    }

    // Gives the owner's session a token, with which a client can resume the session after a
    // restart.
    void make_owner_resumable() { owner.token = *Token::make(); }

    // Records a call of the owner's session that is answered with `reply`.
    void finish_call(std::string_view reply = {})
    {
        ReplyCache reply_cache{registry, owner};
        reply_cache.begin(ReplyCache::Recorded::reply);
        reply_cache.finish(reply);
    }

    EventLoop loop;
    Quota quota{default_limits};
    RecoveredState recovered;
    StateStore state_store{loop};
    DeliveringRegistry registry{loop,
                                quota,
                                state_store,
                                make_incrementer(),
                                ample_budget,
                                [this] { return delivery.run(); },
                                [this] { delivery.apply(); }};
    Monitors monitors{loop, registry};
    Waits waits{loop, registry, monitors, [this](Wait& wait) { delivery.time_out(wait); }};
    Delivery delivery{loop, registry, waits, monitors};
    Session owner{1, make_peer(alice), {}, {}};
    std::vector<Session> sessions;     // The sessions that were recovered.
    std::vector<std::unique_ptr<Wait>> started_waits;
};

// Stops a fixture as SIGKILL stops a daemon: no destructor runs. Returns duplicates of the state
// store's descriptors. An fd store would have such duplicates.
template <class Fixture>
StateStore::Descriptors crash(std::unique_ptr<Fixture> fixture)
{
    // The fixture is leaked on purpose, because a killed process destroys nothing.
    static auto& leaked = *new std::vector<void*>;
    auto stored = stored_fds_of(fixture->state_store);
    leaked.push_back(fixture.release());
    return stored;
}

// Crashes a fixture and returns a new fixture that has recovered the state of the crashed fixture.
template <class Fixture>
std::unique_ptr<Fixture> crash_and_restart(std::unique_ptr<Fixture> fixture)
{
    return std::make_unique<Fixture>(crash(std::move(fixture)));
}

} // namespace evfd::daemon
