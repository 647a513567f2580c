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
constexpr nanoseconds longest_life = 40ms; // Of a daemon, on the average half of that.

constexpr int signallers = 8;
constexpr int owners = 6;
constexpr int tick_followers = 2;
constexpr int pulse_followers = 2;
constexpr int rearmers = 1;
constexpr int pulsers = 1;
static_assert(signallers + owners + tick_followers + pulse_followers + rearmers + pulsers == 20);

// Until it is told to stop, which is heard by this.
bool goes_on(const Line& line)
{
    if (!is_readable(line.fd()))
        return true;
    line.hear();
    return false;
}

// It has what it is to hold from before; from here on all begin.
void begin(const Line& line)
{
    line.say(0);
    line.hear();
}

class Dice {
public:
    explicit Dice(int seed) : engine_{static_cast<std::mt19937_64::result_type>(seed)} {}
    int up_to(int most) { return std::uniform_int_distribution<int>{1, most}(engine_); }
    bool one_in(int n) { return up_to(n) == 1; }

private:
    std::mt19937_64 engine_; // With a seed: what differs between runs is when the daemon dies.
};

// Tokens given and taken, by name and by a descriptor from before the first kill.
void signal_tokens(const Client& client, const Line& line, int seed)
{
    Dice dice{seed};
    const auto event = must(client.open("tokens"));
    begin(line);
    std::uint64_t given = 0;
    std::uint64_t taken = 0;
    while (goes_on(line)) {
        const std::int64_t count = dice.up_to(3);
        switch (dice.up_to(4)) {
        case 1:
            must(client.set(std::vector{"tokens"s}, count));
            given += static_cast<std::uint64_t>(count);
            break;
        case 2:
            must(event.set(count));
            given += static_cast<std::uint64_t>(count);
            break;
        case 3: {
            const auto fired = client.wait(std::vector{"tokens"s}, {.timeout = 5ms});
            if (!fired && fired.error().code != ErrorCode::timed_out)
                throw std::runtime_error{fired.error().message};
            taken += fired ? 1U : 0U;
            break;
        }
        case 4: taken += static_cast<std::uint64_t>(must(event.wait(0ns))); break;
        }
    }
    line.say(given);
    line.say(taken);
}

// Objects of its own: what it was told is there must be there.
struct Owned {
    bool is_timer;
    std::uint64_t mode;
    std::uint64_t rights;
    std::uint64_t tokens;
};

void own_objects(const Client& client, const Line& line, int number)
{
    Dice dice{number};
    begin(line);
    std::map<int, Owned> owned;
    const auto name_of = [&](int i) {
        return "own/" + std::to_string(number) + "/" + std::to_string(i);
    };
    while (goes_on(line)) {
        const int i = dice.up_to(60);
        const auto name = name_of(i);
        if (const auto there = owned.find(i); there != owned.end()) {
            if (dice.one_in(2)) {
                must(client.remove(std::vector{name}));
                owned.erase(there);
            } else if (there->second.is_timer) {
                require(!must(client.arm(name, {.after = 24h})), "the timer was gone");
            } else {
                const auto rights =
                    dice.one_in(2) ? *Rights::parse("0600") : *Rights::parse("0640");
                must(client.set_rights(name, rights));
                there->second.rights = rights.bits();
            }
            continue;
        }
        const bool is_timer = dice.one_in(3);
        const auto mode = static_cast<Mode>(dice.up_to(4) - 1);
        const int initial = mode == Mode::pulse ? 0 : dice.up_to(9) - 1;
        if (is_timer)
            require(must(client.arm(name, {.after = 24h}, {.rights = *Rights::parse("0600")})),
                    "the timer was there");
        else
            require(
                must(client.create(
                    name, {.mode = mode, .initial = initial, .rights = *Rights::parse("0600")})),
                "the event was there");
        owned.insert({i,
                      {is_timer, static_cast<std::uint64_t>(mode), Rights::parse("0600")->bits(),
                       static_cast<std::uint64_t>(initial)}});
    }
    line.say(owned.size());
    for (const auto& [i, one] : owned) {
        line.say(static_cast<std::uint64_t>(i));
        line.say(one.is_timer);
        line.say(one.mode);
        line.say(one.rights);
        line.say(one.tokens);
    }
}

// Every tick of a timer that was opened before the first kill.
void follow_ticks(const Client& client, const Line& line)
{
    const auto clock = Clock::monotonic;
    const auto opening = now_on(clock);
    const auto timer = must(client.open_timer("tick"));
    const auto opened = now_on(clock);
    const auto grid = grid_of(client, "tick");
    begin(line);
    std::int64_t ticks = 0;
    auto before = opened;
    auto after = opened;
    while (goes_on(line)) {
        before = now_on(clock);
        const auto count = must(timer.wait(1s));
        after = now_on(clock);
        require(count > 0, "no tick came");
        ticks += count;
    }
    // The last read found all points up to some moment of its own.
    require(ticks >= grid.points_by(before) - grid.points_by(opened), "a tick is lost");
    require(ticks <= grid.points_by(after) - grid.points_by(opening), "a tick came twice");
    line.say(static_cast<std::uint64_t>(ticks));
}

// A timer of its own, armed again and again: the descriptor follows, and expires once each time.
void rearm(const Client& client, const Line& line)
{
    const std::string name = "rearmed";
    must(client.arm(name, {.after = 1h}));
    const auto timer = must(client.open_timer(name));
    begin(line);
    std::uint64_t rounds = 0;
    while (goes_on(line)) {
        must(client.arm(name, {.after = 1ms}));
        require(must(timer.wait(patience)) == 1, "it did not expire once");
        ++rounds;
    }
    line.say(rounds);
}

void pulse(const Client& client, const Line& line, int seed)
{
    Dice dice{seed};
    begin(line);
    std::uint64_t pulses = 0;
    while (goes_on(line)) {
        const auto count = dice.up_to(3);
        must(client.set(std::vector{"pulse"s}, count));
        pulses += static_cast<std::uint64_t>(count);
    }
    line.say(pulses);
}

// All it does is wait on its descriptor; that the daemon dies it never sees.
void follow_pulses(const Client& client, const Line& line)
{
    const auto event = must(client.open("pulse"));
    begin(line);
    std::uint64_t pulses = 0;
    const auto take = [&] { pulses += static_cast<std::uint64_t>(must(event.wait(1ms))); };
    while (goes_on(line))
        take();
    line.say(0);
    line.hear(); // That nobody sets it any more.
    take();
    line.say(pulses);
}

// The guard's child dies, whatever it is doing: one of two at some instant of its start or soon
// after, the other at one after its first answer, however slow the machine makes that.
void kill_again_and_again(const Client& client, const Guarded& guarded)
{
    std::random_device chance;
    std::mt19937_64 engine{chance()};
    std::uniform_int_distribution<std::int64_t> life{0, longest_life.count()};
    std::bernoulli_distribution answers;
    pid_t last = 0;
    for (int killed = 0; killed < kills; ++killed) {
        pid_t daemon = 0;
        REQUIRE(eventually([&] { return (daemon = guarded.daemon()) > 0 && daemon != last; }));
        if (answers(engine))
            REQUIRE(client.status());
        wait_through(nanoseconds{life(engine)});
        REQUIRE(::kill(daemon, SIGKILL) == 0);
        last = daemon;
    }
}

// What is there before the first kill.
struct Scene {
    Scene()
    {
        must(client.create("tokens", {.mode = Mode::semaphore,
                                      .initial = initial_tokens,
                                      .rights = *Rights::parse("0666")}));
        must(client.create("pulse", {.mode = Mode::pulse, .rights = *Rights::parse("0666")}));
        must(client.arm("tick", {.interval = 5ms}));
        must(client.create("made", {.mode = Mode::semaphore}));
        must(client.arm("maker", {.interval = 3ms, .sets = "made"}));
        making = grid_of(client, "maker");
        must(client.create("manual"));
        manual.emplace(must(client.open("manual")));
        tokens.emplace(must(client.open("tokens")));
        REQUIRE(::kill(daemon.daemon(), SIGKILL) == 0);  // So that all is taken over once.
        must(client.list("", [](protocol::Object&) {})); // So that all connections are there.
        guard_descriptors = descriptors_of(daemon.pid());
        bare = must(client.status());
    }

    static constexpr int initial_tokens = 100;

    Guarded daemon;
    Client client = daemon.client();
    Grid making{};
    std::optional<Event> manual;
    std::optional<Event> tokens;
    std::size_t guard_descriptors = 0;
    protocol::Status::Reply bare{};
};

// All twenty, in the order in which their ledgers are taken. They have begun.
std::vector<Worker> start_workers(const Scene& scene)
{
    std::vector<Worker> workers;
    const auto start = [&](int how_many, auto work) {
        for (int i = 0; i < how_many; ++i)
            workers.emplace_back([&, i, work](const Line& line) {
                const auto own = scene.daemon.client();
                work(own, line, i);
            });
    };
    start(signallers, signal_tokens);
    start(owners, own_objects);
    start(tick_followers,
          [](const Client& own, const Line& line, int) { follow_ticks(own, line); });
    start(rearmers, [](const Client& own, const Line& line, int) { rearm(own, line); });
    start(pulsers, pulse);
    start(pulse_followers,
          [](const Client& own, const Line& line, int) { follow_pulses(own, line); });
    for (const auto& worker : workers)
        worker.hear();
    for (const auto& worker : workers)
        worker.say(0);
    return workers;
}

// What the workers were told is done, all together.
struct Ledger {
    std::uint64_t given = Scene::initial_tokens;
    std::uint64_t taken = 0;
    std::map<std::string, Owned> owned;
    std::uint64_t ticks = 0;
    std::uint64_t rounds = 0;
    std::uint64_t pulses = 0;
};

std::pair<std::string, Owned> hear_owned(const Worker& worker, int number)
{
    auto name = "own/" + std::to_string(number) + "/" + std::to_string(worker.hear());
    Owned one{};
    one.is_timer = worker.hear() != 0;
    one.mode = worker.hear();
    one.rights = worker.hear();
    one.tokens = worker.hear();
    return {std::move(name), one};
}

// Stops the workers. Those who followed the pulses all counted the same.
Ledger take_ledger(const Client& client, std::vector<Worker>& workers)
{
    for (const auto& each : workers)
        each.say(0);
    Ledger ledger;
    auto worker = workers.begin();
    for (int i = 0; i < signallers; ++i, ++worker) {
        ledger.given += worker->hear();
        ledger.taken += worker->hear();
    }
    for (int number = 0; number < owners; ++number, ++worker)
        for (auto left = worker->hear(); left > 0; --left)
            ledger.owned.insert(hear_owned(*worker, number));
    for (int i = 0; i < tick_followers; ++i, ++worker)
        ledger.ticks += worker->hear();
    ledger.rounds = (worker++)->hear();
    ledger.pulses = (worker++)->hear();
    CHECK(must(client.show("pulse")).subscriptions == pulse_followers);
    for (int i = 0; i < pulse_followers; ++i, ++worker) {
        worker->hear();
        worker->say(0);
        CHECK(worker->hear() == ledger.pulses);
    }
    for (auto& each : workers)
        CHECK(each.wait() == 0); // Nobody saw an error.
    return ledger;
}

void audit_owned(const Client& client, const std::string& name, const Owned& one)
{
    INFO(name);
    const auto shown = must(client.show(name));
    CHECK((shown.kind == Kind::timer) == one.is_timer);
    CHECK(shown.owner_uid == ::geteuid());
    CHECK(shown.rights.bits() == one.rights);
    if (one.is_timer)
        return;
    const auto mode = static_cast<Mode>(one.mode);
    CHECK(shown.mode == mode);
    if (mode == Mode::semaphore)
        CHECK(shown.count == static_cast<std::int64_t>(one.tokens));
}

// The daemon has what the ledger says, and nothing else.
void audit(const Scene& scene, const Ledger& ledger)
{
    const auto& client = scene.client;
    std::set<std::string> names{"tokens", "pulse", "tick", "made", "maker", "manual", "rearmed"};
    for (const auto& [name, one] : ledger.owned) {
        names.insert(name);
        audit_owned(client, name, one);
    }
    std::set<std::string> there;
    must(client.list("", [&](protocol::Object& object) { there.insert(object.name.text()); }));
    CHECK(there == names);
    // What is in the semaphore is what was given and not taken.
    CHECK(must(client.show("tokens")).count ==
          static_cast<std::int64_t>(ledger.given - ledger.taken));
    CHECK(must(client.show("pulse")).pulses == static_cast<std::int64_t>(ledger.pulses));

    // A timer's event got one token for each of its points.
    CHECK(eventually([&] {
        const auto before = scene.making.points_by(now_on(Clock::monotonic));
        const auto made = must(client.show("made")).count;
        return made == before && before == scene.making.points_by(now_on(Clock::monotonic));
    }));
    // Descriptors from before the first kill are those of the names.
    CHECK(scene.manual->set());
    CHECK(must(client.show("manual")).is_set == true);
    CHECK(client.clear(std::vector{"manual"s}));
    CHECK(must(scene.manual->is_set()) == false);
    CHECK(client.set(std::vector{"manual"s}));
    CHECK(must(scene.manual->is_set()) == true);
    CHECK(must(scene.tokens->is_set()) == (ledger.given > ledger.taken));

    // Nothing is left of those who are gone.
    CHECK(eventually([&] { return must(client.status()).subscriptions == 0; }));
    CHECK(eventually([&] { return must(client.status()).waits_for_sessions == 0; }));
    CHECK(eventually([&] { return must(client.status()).connections == scene.bare.connections; }));
    for (const auto& name : there)
        if (name.starts_with("own/") || name == "rearmed")
            must(client.remove(std::vector{name}));
    CHECK(must(client.status()).descriptors == scene.bare.descriptors);
    CHECK(descriptors_of(scene.daemon.pid()) == scene.guard_descriptors);
}

TEST_CASE("nothing that was acknowledged is lost while the daemon is killed three hundred times")
{
    const Scene scene;
    auto workers = start_workers(scene);
    kill_again_and_again(scene.client, scene.daemon);
    const auto ledger = take_ledger(scene.client, workers);
    audit(scene, ledger);

    // That it was no idle time.
    INFO(ledger.given << " tokens, " << ledger.ticks << " ticks, " << ledger.rounds << " rounds, "
                      << ledger.pulses << " pulses");
    CHECK(std::min({ledger.given, ledger.ticks, ledger.rounds, ledger.pulses}) >=
          std::uint64_t{kills});
}

} // namespace
} // namespace evfd::e2e
