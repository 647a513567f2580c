// Twenty client processes work at full speed while the daemon is killed 300 times at random
// instants.
//
// Each worker records in a ledger every change that the daemon has acknowledged: tokens added and
// consumed, objects created and deleted, ticks and pulses counted. After the last kill the test
// compares the ledgers with the state of the daemon. What must hold:
//
// - No call of a worker fails. No acknowledged change is lost or done twice, not even one token or
//   one tick.
// - Descriptors that were opened before the first kill still belong to their names.
// - After the workers have exited, the daemon and its supervisor have no more connections,
//   subscriptions and descriptors than before.
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
// Before each kill, kill_repeatedly() waits for a random time of at most this long. The average is
// half of this time.
constexpr nanoseconds max_daemon_life = 40ms;

// The number of semaphores that nobody opens at first, so that their counters are numbers. The
// signallers open them at random instants.
constexpr int numbers = 500;
std::string number_name(int i)
{
    return "number/" + std::to_string(i);
}

constexpr int signallers = 8;
constexpr int owners = 6;
constexpr int tick_subscribers = 2;
constexpr int pulse_subscribers = 2;
constexpr int rearmers = 1;
constexpr int pulsers = 1;
static_assert(signallers + owners + tick_subscribers + pulse_subscribers + rearmers + pulsers ==
              20);

// Returns false if the test has sent this worker a message, which tells it to stop.
bool should_continue(const WorkerSocket& parent)
{
    if (!is_readable(parent.fd()))
        return true;
    parent.receive();
    return false;
}

// Reports to the test that this worker has opened its objects. Waits until the test starts all
// workers.
void await_start(const WorkerSocket& parent)
{
    parent.send(0);
    parent.receive();
}

class Random {
public:
    explicit Random(int seed) : engine_{static_cast<std::mt19937_64::result_type>(seed)} {}
    int up_to(int max) { return std::uniform_int_distribution<int>{1, max}(engine_); }
    bool chance_of_one_in(int n) { return up_to(n) == 1; }

private:
    // A random engine with a fixed seed, so that two runs of the test differ only in the instants
    // of the kills.
    std::mt19937_64 engine_;
};

// Consumes a token by name if there is one. Returns how many were consumed.
std::uint64_t consume_by_name(const Client& client, const std::string& name, nanoseconds timeout)
{
    const auto fired = client.wait(std::vector{name}, {.timeout = timeout});
    if (!fired && fired.error().code != ErrorCode::timed_out)
        throw std::runtime_error{fired.error().message};
    return fired ? 1 : 0;
}

// The tokens that a worker has added and consumed.
struct Tokens {
    std::uint64_t added = 0;
    std::uint64_t consumed = 0;
};

// Adds or consumes tokens of one of these semaphores by name. In rare cases opens the semaphore and
// does both through the descriptor. From then on, the counter of the semaphore is an eventfd.
void signal_number(const Client& client, Random& random, Tokens& tokens)
{
    const auto name = number_name(random.up_to(numbers) - 1);
    const std::int64_t count = random.up_to(3);
    if (random.chance_of_one_in(20)) {
        const auto event = value_or_throw(client.open(name));
        value_or_throw(event.set(count));
        tokens.added += static_cast<std::uint64_t>(count);
        tokens.consumed += static_cast<std::uint64_t>(value_or_throw(event.wait(0ns)));
    } else if (random.chance_of_one_in(2)) {
        value_or_throw(client.set(std::vector{name}, count));
        tokens.added += static_cast<std::uint64_t>(count);
    } else {
        tokens.consumed += consume_by_name(client, name, 0ns);
    }
}

// Adds and consumes tokens of one semaphore, by name and through a descriptor that was opened
// before the first kill. Also adds and consumes tokens of the semaphores that signal_number() uses.
void signal_tokens(const Client& client, const WorkerSocket& parent, int seed)
{
    Random random{seed};
    const auto event = value_or_throw(client.open("tokens"));
    await_start(parent);
    std::uint64_t added = 0;
    std::uint64_t consumed = 0;
    Tokens of_numbers;
    while (should_continue(parent)) {
        const std::int64_t count = random.up_to(3);
        switch (random.up_to(6)) {
        case 1:
            value_or_throw(client.set(std::vector{"tokens"s}, count));
            added += static_cast<std::uint64_t>(count);
            break;
        case 2:
            value_or_throw(event.set(count));
            added += static_cast<std::uint64_t>(count);
            break;
        case 3: consumed += consume_by_name(client, "tokens", 5ms); break;
        case 4: consumed += static_cast<std::uint64_t>(value_or_throw(event.wait(0ns))); break;
        default: signal_number(client, random, of_numbers); break;
        }
    }
    for (const auto amount : {added, consumed, of_numbers.added, of_numbers.consumed})
        parent.send(amount);
}

// An object that a worker has created and not deleted. The test checks at the end that the object
// exists with these properties.
struct Owned {
    bool is_timer;
    std::uint64_t mode;
    std::uint64_t permissions;
    std::uint64_t tokens;
};

void own_objects(const Client& client, const WorkerSocket& parent, int number)
{
    Random random{number};
    await_start(parent);
    std::map<int, Owned> owned;
    const auto name_of = [&](int i) {
        return "own/" + std::to_string(number) + "/" + std::to_string(i);
    };
    while (should_continue(parent)) {
        const int i = random.up_to(60);
        const auto name = name_of(i);
        if (const auto existing = owned.find(i); existing != owned.end()) {
            if (random.chance_of_one_in(2)) {
                value_or_throw(client.delete_object(std::vector{name}));
                owned.erase(existing);
            } else if (existing->second.is_timer) {
                require(!value_or_throw(client.arm(name, {.after = 24h})).created,
                        "the timer was created again");
            } else {
                const auto permissions = random.chance_of_one_in(2) ? *Permissions::parse("0600")
                                                                    : *Permissions::parse("0640");
                value_or_throw(client.set_permissions(name, permissions));
                existing->second.permissions = permissions.bits();
            }
            continue;
        }
        const bool is_timer = random.chance_of_one_in(3);
        const auto mode = static_cast<Mode>(random.up_to(4) - 1);
        const int initial = mode == Mode::pulse ? 0 : random.up_to(9) - 1;
        if (is_timer)
            require(value_or_throw(client.arm(name, {.after = 24h},
                                              {.permissions = *Permissions::parse("0600")}))
                        .created,
                    "the timer existed already");
        else
            require(
                value_or_throw(client.create(name, {.mode = mode,
                                                    .initial = initial,
                                                    .permissions = *Permissions::parse("0600")}))
                    .created,
                "the event existed already");
        owned.insert({i,
                      {is_timer, static_cast<std::uint64_t>(mode),
                       Permissions::parse("0600")->bits(), static_cast<std::uint64_t>(initial)}});
    }
    parent.send(owned.size());
    for (const auto& [i, object] : owned) {
        parent.send(static_cast<std::uint64_t>(i));
        parent.send(object.is_timer);
        parent.send(object.mode);
        parent.send(object.permissions);
        parent.send(object.tokens);
    }
}

// Counts the ticks of the timer "tick" by a descriptor that was opened before the first kill. Fails
// if a tick is lost or counted twice.
void count_ticks(const Client& client, const WorkerSocket& parent)
{
    const auto clock = Clock::monotonic;
    const auto opening = now_on(clock);
    const auto timer = value_or_throw(client.open_timer("tick"));
    const auto opened = now_on(clock);
    const auto grid = grid_of(client, "tick");
    await_start(parent);
    std::int64_t ticks = 0;
    auto before = opened;
    auto after = opened;
    while (should_continue(parent)) {
        before = now_on(clock);
        const auto count = value_or_throw(timer.wait(1s));
        after = now_on(clock);
        require(count > 0, "no tick arrived");
        ticks += count;
    }
    // The last read took place between `before` and `after`, so `ticks` counts the expirations up
    // to some instant between these two times.
    require(ticks >= grid.expirations_by(before) - grid.expirations_by(opened), "a tick was lost");
    require(ticks <= grid.expirations_by(after) - grid.expirations_by(opening),
            "a tick was counted twice");
    parent.send(static_cast<std::uint64_t>(ticks));
}

// Arms the timer "rearmed" again and again. Each time, the descriptor that was opened at the start
// must report exactly one expiration.
void rearm(const Client& client, const WorkerSocket& parent)
{
    const std::string name = "rearmed";
    value_or_throw(client.arm(name, {.after = 1h}));
    const auto timer = value_or_throw(client.open_timer(name));
    await_start(parent);
    std::uint64_t rounds = 0;
    while (should_continue(parent)) {
        value_or_throw(client.arm(name, {.after = 1ms}));
        require(value_or_throw(timer.wait(default_timeout)) == 1,
                "the timer did not expire exactly once");
        ++rounds;
    }
    parent.send(rounds);
}

void set_pulses(const Client& client, const WorkerSocket& parent, int seed)
{
    Random random{seed};
    await_start(parent);
    std::uint64_t pulses = 0;
    while (should_continue(parent)) {
        const auto count = random.up_to(3);
        value_or_throw(client.set(std::vector{"pulse"s}, count));
        pulses += static_cast<std::uint64_t>(count);
    }
    parent.send(pulses);
}

// Counts the pulses that one subscriber receives. The subscriber only reads its descriptor, so the
// kills of the daemon must not affect it.
void count_pulses(const Client& client, const WorkerSocket& parent)
{
    const auto event = value_or_throw(client.open("pulse"));
    await_start(parent);
    std::uint64_t pulses = 0;
    const auto take = [&] {
        pulses += static_cast<std::uint64_t>(value_or_throw(event.wait(1ms)));
    };
    while (should_continue(parent))
        take();
    parent.send(0);
    parent.receive(); // Waits until the test says that no worker sets the pulse any more.
    take();
    parent.send(pulses);
}

// Kills the daemon again and again. Before each kill, waits for a random time of at most
// max_daemon_life. In half of the cases the wait begins when the daemon's process starts, so that
// the kill can come during the start. In the other half the wait begins after the daemon has
// answered a call, so that the kill comes after the start even on a slow machine.
void kill_repeatedly(const Client& client, const SupervisedDaemon& supervised)
{
    std::random_device chance;
    std::mt19937_64 engine{chance()};
    std::uniform_int_distribution<std::int64_t> life{0, max_daemon_life.count()};
    std::bernoulli_distribution answers;
    pid_t last = 0;
    for (int killed = 0; killed < kills; ++killed) {
        const auto daemon = supervised.await_daemon_after(last);
        if (answers(engine))
            REQUIRE(client.status());
        wait_for_duration(nanoseconds{life(engine)});
        REQUIRE(::kill(daemon, SIGKILL) == 0);
        last = daemon;
    }
}

// The objects that exist before the first kill.
struct ChaosFixture {
    ChaosFixture()
    {
        value_or_throw(client.create("tokens", {.mode = Mode::semaphore,
                                                .initial = initial_tokens,
                                                .permissions = *Permissions::parse("0666")}));
        for (int i = 0; i < numbers; ++i)
            value_or_throw(
                client.create(number_name(i), {.mode = Mode::semaphore,
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
        // Kills the daemon once before the test records the numbers of connections and descriptors.
        // The numbers then come from a recovered daemon, as the numbers at the end of the test do.
        REQUIRE(::kill(daemon.daemon_pid(), SIGKILL) == 0);
        // Makes the client open all of its connections before the test records the numbers.
        value_or_throw(client.list("", [](protocol::Object&) {}));
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

// Starts the twenty workers, in the order in which take_ledger() reads from them. Returns after all
// workers have opened their objects.
std::vector<Worker> start_workers(const ChaosFixture& setup)
{
    std::vector<Worker> workers;
    const auto start = [&](int how_many, auto work) {
        for (int i = 0; i < how_many; ++i)
            workers.emplace_back([&, i, work](const WorkerSocket& parent) {
                const auto own = setup.daemon.client();
                work(own, parent, i);
            });
    };
    start(signallers, signal_tokens);
    start(owners, own_objects);
    start(tick_subscribers,
          [](const Client& own, const WorkerSocket& parent, int) { count_ticks(own, parent); });
    start(rearmers, [](const Client& own, const WorkerSocket& parent, int) { rearm(own, parent); });
    start(pulsers, set_pulses);
    start(pulse_subscribers,
          [](const Client& own, const WorkerSocket& parent, int) { count_pulses(own, parent); });
    for (const auto& worker : workers)
        worker.receive();
    for (const auto& worker : workers)
        worker.send(0);
    return workers;
}

// The acknowledged changes of all workers.
struct Ledger {
    std::uint64_t added = ChaosFixture::initial_tokens;
    std::uint64_t consumed = 0;
    Tokens of_numbers;
    std::map<std::string, Owned> owned;
    std::uint64_t ticks = 0;
    std::uint64_t rounds = 0;
    std::uint64_t pulses = 0;
};

std::pair<std::string, Owned> receive_owned(const Worker& worker, int number)
{
    auto name = "own/" + std::to_string(number) + "/" + std::to_string(worker.receive());
    Owned object{};
    object.is_timer = worker.receive() != 0;
    object.mode = worker.receive();
    object.permissions = worker.receive();
    object.tokens = worker.receive();
    return {std::move(name), object};
}

// Stops the workers and reads their ledgers. All subscribers of the pulse must have the same count.
Ledger take_ledger(const Client& client, std::vector<Worker>& workers)
{
    for (const auto& each : workers)
        each.send(0);
    Ledger ledger;
    auto worker = workers.begin();
    for (int i = 0; i < signallers; ++i, ++worker) {
        ledger.added += worker->receive();
        ledger.consumed += worker->receive();
        ledger.of_numbers.added += worker->receive();
        ledger.of_numbers.consumed += worker->receive();
    }
    for (int number = 0; number < owners; ++number, ++worker)
        for (auto left = worker->receive(); left > 0; --left)
            ledger.owned.insert(receive_owned(*worker, number));
    for (int i = 0; i < tick_subscribers; ++i, ++worker)
        ledger.ticks += worker->receive();
    ledger.rounds = (worker++)->receive();
    ledger.pulses = (worker++)->receive();
    CHECK(value_or_throw(client.show("pulse")).subscribers == pulse_subscribers);
    for (int i = 0; i < pulse_subscribers; ++i, ++worker) {
        worker->receive();
        worker->send(0);
        CHECK(worker->receive() == ledger.pulses);
    }
    for (auto& each : workers)
        CHECK(each.wait() == 0); // The worker exits with 0 if all of its checks have succeeded.
    return ledger;
}

void audit_owned(const Client& client, const std::string& name, const Owned& object)
{
    INFO(name);
    const auto shown = value_or_throw(client.show(name));
    CHECK((shown.kind == Kind::timer) == object.is_timer);
    CHECK(shown.owner_uid == ::geteuid());
    CHECK(shown.permissions.bits() == object.permissions);
    if (object.is_timer)
        return;
    const auto mode = static_cast<Mode>(object.mode);
    CHECK(shown.mode == mode);
    if (mode == Mode::semaphore)
        CHECK(shown.count == static_cast<std::int64_t>(object.tokens));
}

// Checks that the daemon has exactly the objects and tokens of the ledger, and no other connections
// or descriptors than before.
void audit(const ChaosFixture& setup, const Ledger& ledger)
{
    const auto& client = setup.client;
    std::set<std::string> names{"tokens", "pulse", "tick", "made", "maker", "manual", "rearmed"};
    std::int64_t tokens_of_numbers = 0;
    for (int i = 0; i < numbers; ++i) {
        names.insert(number_name(i));
        tokens_of_numbers += value_or_throw(client.show(number_name(i))).count.value();
    }
    CHECK(tokens_of_numbers ==
          static_cast<std::int64_t>(ledger.of_numbers.added - ledger.of_numbers.consumed));
    for (const auto& [name, object] : ledger.owned) {
        names.insert(name);
        audit_owned(client, name, object);
    }
    std::set<std::string> existing;
    value_or_throw(
        client.list("", [&](protocol::Object& object) { existing.emplace(object.name.text()); }));
    CHECK(existing == names);
    // The semaphore must have the tokens that were added and not consumed.
    CHECK(value_or_throw(client.show("tokens")).count ==
          static_cast<std::int64_t>(ledger.added - ledger.consumed));
    CHECK(value_or_throw(client.show("pulse")).pulses == static_cast<std::int64_t>(ledger.pulses));

    // The count of the event "made" must equal the number of expirations of the timer "maker".
    CHECK(poll_until([&] {
        const auto before = setup.maker_grid.expirations_by(now_on(Clock::monotonic));
        const auto count = value_or_throw(client.show("made")).count;
        return count == before &&
               before == setup.maker_grid.expirations_by(now_on(Clock::monotonic));
    }));
    // Checks that the descriptors from before the first kill still belong to their names.
    CHECK(setup.manual->set());
    CHECK(value_or_throw(client.show("manual")).is_set == true);
    CHECK(client.clear(std::vector{"manual"s}));
    CHECK(value_or_throw(setup.manual->is_set()) == false);
    CHECK(client.set(std::vector{"manual"s}));
    CHECK(value_or_throw(setup.manual->is_set()) == true);
    CHECK(value_or_throw(setup.tokens->is_set()) == (ledger.added > ledger.consumed));

    // The daemon and its supervisor must keep nothing of the workers except the objects that the
    // workers created.
    CHECK(poll_until([&] { return value_or_throw(client.status()).subscriptions == 0; }));
    CHECK(poll_until([&] { return value_or_throw(client.status()).orphaned_sessions == 0; }));
    CHECK(poll_until([&] {
        return value_or_throw(client.status()).connections == setup.status_before.connections;
    }));
    for (const auto& name : existing)
        if (name.starts_with("own/") || name.starts_with("number/") || name == "rearmed")
            value_or_throw(client.delete_object(std::vector{name}));
    CHECK(value_or_throw(client.status()).descriptors == setup.status_before.descriptors);
    CHECK(descriptors_of(setup.daemon.pid()) == setup.supervisor_descriptors);
}

TEST_CASE("no acknowledged change is lost while the daemon is killed 300 times")
{
    const ChaosFixture setup;
    auto workers = start_workers(setup);
    kill_repeatedly(setup.client, setup.daemon);
    const auto ledger = take_ledger(setup.client, workers);
    audit(setup, ledger);

    // Checks that the workers made at least one change of each kind per kill, so that the kills
    // came during changes.
    INFO(ledger.added << " tokens, " << ledger.ticks << " ticks, " << ledger.rounds << " rounds, "
                      << ledger.pulses << " pulses");
    CHECK(std::min({ledger.added, ledger.of_numbers.added, ledger.ticks, ledger.rounds,
                    ledger.pulses}) >= std::uint64_t{kills});
}

} // namespace
} // namespace evfd::e2e
