// Promise 3, by force: twenty client processes at full speed while the daemon is killed three
// hundred times, at instants that nobody chose. Each keeps a ledger of what it was told is done;
// afterwards the ledgers and the daemon must agree, to the last token and tick.
#include "common/eventfd.h"
#include "tests/support/daemon_process.h"
#include "tests/support/timers.h"

#include <signal.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>

namespace evfd::e2e {
namespace {

constexpr int kills = 300;
constexpr nanoseconds max_daemon_life = 40ms; // Of a daemon, on the average half of that.

constexpr int signallers = 8;
constexpr int owners = 6;
constexpr int tick_subscribers = 2;
constexpr int pulse_subscribers = 2;
constexpr int rearmers = 1;
constexpr int pulsers = 1;
static_assert(signallers + owners + tick_subscribers + pulse_subscribers + rearmers + pulsers ==
              20);

// Until it is told to stop, which is heard by this.
bool should_continue(const WorkerSocket& line)
{
    if (!is_readable(line.fd()))
        return true;
    line.receive();
    return false;
}

// It has what it is to hold from before; from here on all begin.
void await_start(const WorkerSocket& line)
{
    line.send(0);
    line.receive();
}

class Random {
public:
    explicit Random(int seed) : engine_{static_cast<std::mt19937_64::result_type>(seed)} {}
    int up_to(int most) { return std::uniform_int_distribution<int>{1, most}(engine_); }
    bool chance_of_one_in(int n) { return up_to(n) == 1; }

private:
    std::mt19937_64 engine_; // With a seed: what differs between runs is when the daemon dies.
};

// Tokens given and taken, by name and by a descriptor from before the first kill.
void signal_tokens(const Client& client, const WorkerSocket& line, int seed)
{
    Random dice{seed};
    const auto event = value_or_throw(client.open("tokens"));
    await_start(line);
    std::uint64_t given = 0;
    std::uint64_t taken = 0;
    while (should_continue(line)) {
        const std::int64_t count = dice.up_to(3);
        switch (dice.up_to(4)) {
        case 1:
            value_or_throw(client.set(std::vector{"tokens"s}, count));
            given += static_cast<std::uint64_t>(count);
            break;
        case 2:
            value_or_throw(event.set(count));
            given += static_cast<std::uint64_t>(count);
            break;
        case 3: {
            const auto fired = client.wait(std::vector{"tokens"s}, {.timeout = 5ms});
            if (!fired && fired.error().code != ErrorCode::timed_out)
                throw std::runtime_error{fired.error().message};
            taken += fired ? 1U : 0U;
            break;
        }
        case 4: taken += static_cast<std::uint64_t>(value_or_throw(event.wait(0ns))); break;
        }
    }
    line.send(given);
    line.send(taken);
}

// Objects of its own: what it was told is there must be there.
struct Owned {
    bool is_timer;
    std::uint64_t mode;
    std::uint64_t permissions;
    std::uint64_t tokens;
};

void own_objects(const Client& client, const WorkerSocket& line, int number)
{
    Random dice{number};
    await_start(line);
    std::map<int, Owned> owned;
    const auto name_of = [&](int i) {
        return "own/" + std::to_string(number) + "/" + std::to_string(i);
    };
    while (should_continue(line)) {
        const int i = dice.up_to(60);
        const auto name = name_of(i);
        if (const auto there = owned.find(i); there != owned.end()) {
            if (dice.chance_of_one_in(2)) {
                value_or_throw(client.delete_object(std::vector{name}));
                owned.erase(there);
            } else if (there->second.is_timer) {
                require(!value_or_throw(client.arm(name, {.after = 24h})), "the timer was gone");
            } else {
                const auto rights = dice.chance_of_one_in(2) ? *Permissions::parse("0600")
                                                             : *Permissions::parse("0640");
                value_or_throw(client.set_permissions(name, rights));
                there->second.permissions = rights.bits();
            }
            continue;
        }
        const bool is_timer = dice.chance_of_one_in(3);
        const auto mode = static_cast<Mode>(dice.up_to(4) - 1);
        const int initial = mode == Mode::pulse ? 0 : dice.up_to(9) - 1;
        if (is_timer)
            require(value_or_throw(client.arm(name, {.after = 24h},
                                              {.permissions = *Permissions::parse("0600")})),
                    "the timer was there");
        else
            require(
                value_or_throw(client.create(name, {.mode = mode,
                                                    .initial = initial,
                                                    .permissions = *Permissions::parse("0600")})),
                "the event was there");
        owned.insert({i,
                      {is_timer, static_cast<std::uint64_t>(mode),
                       Permissions::parse("0600")->bits(), static_cast<std::uint64_t>(initial)}});
    }
    line.send(owned.size());
    for (const auto& [i, one] : owned) {
        line.send(static_cast<std::uint64_t>(i));
        line.send(one.is_timer);
        line.send(one.mode);
        line.send(one.permissions);
        line.send(one.tokens);
    }
}

// Every tick of a timer that was opened before the first kill.
void count_ticks(const Client& client, const WorkerSocket& line)
{
    const auto clock = Clock::monotonic;
    const auto opening = now_on(clock);
    const auto timer = value_or_throw(client.open_timer("tick"));
    const auto opened = now_on(clock);
    const auto grid = grid_of(client, "tick");
    await_start(line);
    std::int64_t ticks = 0;
    auto before = opened;
    auto after = opened;
    while (should_continue(line)) {
        before = now_on(clock);
        const auto count = value_or_throw(timer.wait(1s));
        after = now_on(clock);
        require(count > 0, "no tick came");
        ticks += count;
    }
    // The last read found all points up to some moment of its own.
    require(ticks >= grid.expirations_by(before) - grid.expirations_by(opened), "a tick is lost");
    require(ticks <= grid.expirations_by(after) - grid.expirations_by(opening),
            "a tick came twice");
    line.send(static_cast<std::uint64_t>(ticks));
}

// A timer of its own, armed again and again: the descriptor follows, and expires once each time.
void rearm(const Client& client, const WorkerSocket& line)
{
    const std::string name = "rearmed";
    value_or_throw(client.arm(name, {.after = 1h}));
    const auto timer = value_or_throw(client.open_timer(name));
    await_start(line);
    std::uint64_t rounds = 0;
    while (should_continue(line)) {
        value_or_throw(client.arm(name, {.after = 1ms}));
        require(value_or_throw(timer.wait(default_timeout)) == 1, "it did not expire once");
        ++rounds;
    }
    line.send(rounds);
}

void set_pulses(const Client& client, const WorkerSocket& line, int seed)
{
    Random dice{seed};
    await_start(line);
    std::uint64_t pulses = 0;
    while (should_continue(line)) {
        const auto count = dice.up_to(3);
        value_or_throw(client.set(std::vector{"pulse"s}, count));
        pulses += static_cast<std::uint64_t>(count);
    }
    line.send(pulses);
}

// All it does is wait on its descriptor; that the daemon dies it never sees.
void count_pulses(const Client& client, const WorkerSocket& line)
{
    const auto event = value_or_throw(client.open("pulse"));
    await_start(line);
    std::uint64_t pulses = 0;
    const auto take = [&] {
        pulses += static_cast<std::uint64_t>(value_or_throw(event.wait(1ms)));
    };
    while (should_continue(line))
        take();
    line.send(0);
    line.receive(); // That nobody sets it any more.
    take();
    line.send(pulses);
}

// The guard's child dies, whatever it is doing: one of two at some instant of its start or soon
// after, the other at one after its first answer, however slow the machine makes that.
void kill_repeatedly(const Client& client, const SupervisedDaemon& guarded)
{
    std::random_device chance;
    std::mt19937_64 engine{chance()};
    std::uniform_int_distribution<std::int64_t> life{0, max_daemon_life.count()};
    std::bernoulli_distribution answers;
    pid_t last = 0;
    for (int killed = 0; killed < kills; ++killed) {
        pid_t daemon = 0;
        REQUIRE(poll_until([&] { return (daemon = guarded.daemon_pid()) > 0 && daemon != last; }));
        if (answers(engine))
            REQUIRE(client.status());
        wait_for_duration(nanoseconds{life(engine)});
        REQUIRE(::kill(daemon, SIGKILL) == 0);
        last = daemon;
    }
}

// What is there before the first kill.
struct ChaosFixture {
    ChaosFixture()
    {
        value_or_throw(client.create("tokens", {.mode = Mode::semaphore,
                                                .initial = initial_tokens,
                                                .permissions = *Permissions::parse("0666")}));
        value_or_throw(client.create(
            "pulse", {.mode = Mode::pulse, .permissions = *Permissions::parse("0666")}));
        value_or_throw(client.arm("tick", {.interval = 5ms}));
        value_or_throw(client.create("made", {.mode = Mode::semaphore}));
        value_or_throw(client.arm("maker", {.interval = 3ms, .sets = "made"}));
        maker_grid = grid_of(client, "maker");
        value_or_throw(client.create("manual"));
        manual.emplace(value_or_throw(client.open("manual")));
        tokens.emplace(value_or_throw(client.open("tokens")));
        REQUIRE(::kill(daemon.daemon_pid(), SIGKILL) == 0); // So that all is taken over once.
        value_or_throw(
            client.list("", [](protocol::Object&) {})); // So that all connections are there.
        supervisor_descriptors = descriptors_of(daemon.pid());
        status_before = value_or_throw(client.status());
    }

    static constexpr int initial_tokens = 100;

    SupervisedDaemon daemon;
    Client client = daemon.client();
    Grid maker_grid{};
    std::optional<Event> manual;
    std::optional<Event> tokens;
    std::size_t supervisor_descriptors = 0;
    protocol::Status::Reply status_before{};
};

// All twenty, in the order in which their ledgers are taken. They have begun.
std::vector<Worker> start_workers(const ChaosFixture& scene)
{
    std::vector<Worker> workers;
    const auto start = [&](int how_many, auto work) {
        for (int i = 0; i < how_many; ++i)
            workers.emplace_back([&, i, work](const WorkerSocket& line) {
                const auto own = scene.daemon.client();
                work(own, line, i);
            });
    };
    start(signallers, signal_tokens);
    start(owners, own_objects);
    start(tick_subscribers,
          [](const Client& own, const WorkerSocket& line, int) { count_ticks(own, line); });
    start(rearmers, [](const Client& own, const WorkerSocket& line, int) { rearm(own, line); });
    start(pulsers, set_pulses);
    start(pulse_subscribers,
          [](const Client& own, const WorkerSocket& line, int) { count_pulses(own, line); });
    for (const auto& worker : workers)
        worker.receive();
    for (const auto& worker : workers)
        worker.send(0);
    return workers;
}

// What the workers were told is done, all together.
struct Ledger {
    std::uint64_t added = ChaosFixture::initial_tokens;
    std::uint64_t consumed = 0;
    std::map<std::string, Owned> owned;
    std::uint64_t ticks = 0;
    std::uint64_t rounds = 0;
    std::uint64_t pulses = 0;
};

std::pair<std::string, Owned> receive_owned(const Worker& worker, int number)
{
    auto name = "own/" + std::to_string(number) + "/" + std::to_string(worker.receive());
    Owned one{};
    one.is_timer = worker.receive() != 0;
    one.mode = worker.receive();
    one.permissions = worker.receive();
    one.tokens = worker.receive();
    return {std::move(name), one};
}

// Stops the workers. Those who followed the pulses all counted the same.
Ledger take_ledger(const Client& client, std::vector<Worker>& workers)
{
    for (const auto& each : workers)
        each.send(0);
    Ledger ledger;
    auto worker = workers.begin();
    for (int i = 0; i < signallers; ++i, ++worker) {
        ledger.added += worker->receive();
        ledger.consumed += worker->receive();
    }
    for (int number = 0; number < owners; ++number, ++worker)
        for (auto left = worker->receive(); left > 0; --left)
            ledger.owned.insert(receive_owned(*worker, number));
    for (int i = 0; i < tick_subscribers; ++i, ++worker)
        ledger.ticks += worker->receive();
    ledger.rounds = (worker++)->receive();
    ledger.pulses = (worker++)->receive();
    CHECK(value_or_throw(client.show("pulse")).subscriptions == pulse_subscribers);
    for (int i = 0; i < pulse_subscribers; ++i, ++worker) {
        worker->receive();
        worker->send(0);
        CHECK(worker->receive() == ledger.pulses);
    }
    for (auto& each : workers)
        CHECK(each.wait() == 0); // Nobody saw an error.
    return ledger;
}

void audit_owned(const Client& client, const std::string& name, const Owned& one)
{
    INFO(name);
    const auto shown = value_or_throw(client.show(name));
    CHECK((shown.kind == Kind::timer) == one.is_timer);
    CHECK(shown.owner_uid == ::geteuid());
    CHECK(shown.rights.bits() == one.permissions);
    if (one.is_timer)
        return;
    const auto mode = static_cast<Mode>(one.mode);
    CHECK(shown.mode == mode);
    if (mode == Mode::semaphore)
        CHECK(shown.count == static_cast<std::int64_t>(one.tokens));
}

// The daemon has what the ledger says, and nothing else.
void audit(const ChaosFixture& scene, const Ledger& ledger)
{
    const auto& client = scene.client;
    std::set<std::string> names{"tokens", "pulse", "tick", "made", "maker", "manual", "rearmed"};
    for (const auto& [name, one] : ledger.owned) {
        names.insert(name);
        audit_owned(client, name, one);
    }
    std::set<std::string> there;
    value_or_throw(
        client.list("", [&](protocol::Object& object) { there.insert(object.name.text()); }));
    CHECK(there == names);
    // What is in the semaphore is what was given and not taken.
    CHECK(value_or_throw(client.show("tokens")).count ==
          static_cast<std::int64_t>(ledger.added - ledger.consumed));
    CHECK(value_or_throw(client.show("pulse")).pulses == static_cast<std::int64_t>(ledger.pulses));

    // A timer's event got one token for each of its points.
    CHECK(poll_until([&] {
        const auto before = scene.maker_grid.expirations_by(now_on(Clock::monotonic));
        const auto made = value_or_throw(client.show("made")).count;
        return made == before &&
               before == scene.maker_grid.expirations_by(now_on(Clock::monotonic));
    }));
    // Descriptors from before the first kill are those of the names.
    CHECK(scene.manual->set());
    CHECK(value_or_throw(client.show("manual")).is_set == true);
    CHECK(client.clear(std::vector{"manual"s}));
    CHECK(value_or_throw(scene.manual->is_set()) == false);
    CHECK(client.set(std::vector{"manual"s}));
    CHECK(value_or_throw(scene.manual->is_set()) == true);
    CHECK(value_or_throw(scene.tokens->is_set()) == (ledger.added > ledger.consumed));

    // Nothing is left of those who are gone.
    CHECK(poll_until([&] { return value_or_throw(client.status()).subscriptions == 0; }));
    CHECK(poll_until([&] { return value_or_throw(client.status()).waits_for_sessions == 0; }));
    CHECK(poll_until([&] {
        return value_or_throw(client.status()).connections == scene.status_before.connections;
    }));
    for (const auto& name : there)
        if (name.starts_with("own/") || name == "rearmed")
            value_or_throw(client.delete_object(std::vector{name}));
    CHECK(value_or_throw(client.status()).descriptors == scene.status_before.descriptors);
    CHECK(descriptors_of(scene.daemon.pid()) == scene.supervisor_descriptors);
}

TEST_CASE("nothing that was acknowledged is lost while the daemon is killed three hundred times")
{
    const ChaosFixture scene;
    auto workers = start_workers(scene);
    kill_repeatedly(scene.client, scene.daemon);
    const auto ledger = take_ledger(scene.client, workers);
    audit(scene, ledger);

    // That it was no idle time.
    INFO(ledger.added << " tokens, " << ledger.ticks << " ticks, " << ledger.rounds << " rounds, "
                      << ledger.pulses << " pulses");
    CHECK(std::min({ledger.added, ledger.ticks, ledger.rounds, ledger.pulses}) >=
          std::uint64_t{kills});
}

} // namespace
} // namespace evfd::e2e
