// Each token is there once, whenever the daemon was killed.
#include "tests/support/probe.h"
#include "tests/support/recovery_fixture.h"
#include "tests/support/resource_limits.h"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <random>

namespace evfd::daemon {
namespace {

// Plans.

struct Targets {
    std::vector<record::Addition> additions;
    std::vector<int> fds;
};

// Of one plan over events of every kind, as a Set of them would have it.
Targets plan_of_everything(Hall& hall)
{
    Targets targets;
    for (const auto& [name, tokens] : {std::pair{"s", 5}, {"a", 1}, {"m", 1}, {"p", 2}}) {
        auto& target = object(hall, name);
        targets.additions.push_back({static_cast<record::Id>(target.serial), tokens, std::nullopt});
        if (target.pulse())
            target.pulse()->append_targets(tokens, targets.fds, targets.fds);
        else
            target.event()->append_targets(tokens, targets.fds);
    }
    return targets;
}

TEST_CASE("whenever the daemon is killed while it adds: each token is there once")
{
    constexpr std::size_t all = 5 + 1 + 1 + 2 * 3;
    for (std::size_t done = 0; done <= all; ++done) {
        CAPTURE(done);
        auto hall = new_hall();
        hall->create("s", Mode::semaphore, 2);
        hall->create("a", Mode::automatic);
        hall->create("m");
        hall->create("p", Mode::pulse);
        const std::array clients{follow(*hall, "p"), follow(*hall, "p"), follow(*hall, "p")};
        hall->registry.count_call(hall->owner, {});
        const auto adder = make_adder();
        const auto [additions, fds] = plan_of_everything(*hall);
        REQUIRE(fds.size() == all);
        const auto notes = *hall->vault.plan(additions, fds.size());
        REQUIRE(adder.add(std::span{fds}.first(done), notes.first(done)));

        hall = restarted(std::move(hall));
        for (int i = 0; i < 2; ++i) {
            CHECK(tokens(*hall, "s") == 7);
            CHECK(tokens(*hall, "a") == 1);
            CHECK(tokens(*hall, "m") == 1);
            for (const auto& client : clients)
                CHECK(count(client.fd) == 2U);
            hall = restarted(std::move(hall)); // The next one adds nothing more.
        }
    }
}

TEST_CASE("a plan whose commit did not get through is not done")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore);
    hall->vault.commit();
    const auto id = static_cast<record::Id>(object(*hall, "s").serial);
    auto notes = Slip::open(*duplicate(kept_of(hall->vault)[3]));
    REQUIRE(notes);
    notes->begin_plan(3, 5);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 0);
    CHECK(id > 0);
}

TEST_CASE("a plan of more tokens than can be added is not done")
{
    const auto mode = GENERATE(Mode::semaphore, Mode::pulse);
    const auto many = GENERATE(std::int64_t{-1}, max_tokens_per_set + 1,
                               std::numeric_limits<std::int64_t>::max());
    auto hall = new_hall();
    hall->create("e", mode);
    std::optional<Follower> follower;
    if (mode == Mode::pulse)
        follower = follow(*hall, "e");
    hall->registry.count_call(hall->owner, {});
    const auto id = static_cast<record::Id>(object(*hall, "e").serial);
    (void)hall->vault.plan({{id, many, {}}}, 3);

    hall = restarted(std::move(hall));

    REQUIRE(hall->registry.objects().size() == 1);
    if (follower)
        CHECK(count(follower->fd) == 0U);
    else
        CHECK(tokens(*hall, "e") == 0);
}

TEST_CASE("many tokens that are added at once are there once wherever the daemon is killed")
{
    const auto is_added = GENERATE(false, true);
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 4);
    (void)hall->vault.plan({{static_cast<record::Id>(object(*hall, "s").serial), 30, 4}}, 0);
    if (is_added)
        REQUIRE(add(hall->event("s").fd(), 30));
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 34);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 34);
}

TEST_CASE("what nobody has opened is set, wherever the daemon is killed while it sets it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    const auto initial = GENERATE(0, 1);
    const auto is_added = GENERATE(false, true);
    auto hall = new_hall();
    hall->create("e", mode, initial);
    (void)hall->vault.plan({{static_cast<record::Id>(object(*hall, "e").serial), 1, 0}}, 0);
    if (is_added)
        REQUIRE(add(hall->event("e").fd(), 1));
    hall = restarted(std::move(hall));
    CHECK(hall->event("e").is_set());
    hall = restarted(std::move(hall));
    REQUIRE(hall->registry.clear(hall->owner.peer, names({"e"})));
    hall = restarted(std::move(hall)); // What was done once is not done again.
    CHECK_FALSE(hall->event("e").is_set());
}

TEST_CASE(
    "what a set of an unopened event gave and somebody took comes back once, if he is not told")
{
    auto hall = new_hall();
    hall->create("a", Mode::automatic);
    set(*hall, "a");
    REQUIRE(hall->registry.take(object(*hall, "a")) == true);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "a") == 1);
    REQUIRE(hall->registry.take(object(*hall, "a")) == true);
    hall->vault.commit();
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "a") == 1); // No call that is known of took it.
}

TEST_CASE("many tokens that were added and taken again do not come back")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore);
    set(*hall, "s", 20);
    REQUIRE(hall->registry.clear(hall->owner.peer, names({"s"})));
    REQUIRE(tokens(*hall, "s") == 0);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 0);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 0);
}

TEST_CASE("what is added to those who are not kept does not hinder what is")
{
    auto hall = new_hall();
    hall->create("p", Mode::pulse);
    Session nobodys{hall->registry.new_id(), person(bob), {}, {}};
    const auto kept = follow(*hall, "p");
    const auto lost = follow(*hall, nobodys, "p");
    const auto also_lost = follow(*hall, nobodys, "p");
    hall->registry.count_call(hall->owner, {});
    set(*hall, "p", 3);
    CHECK(count(kept.fd) == 3U);
    CHECK(count(lost.fd) == 3U);
    CHECK(count(also_lost.fd) == 3U);

    // As if it were killed before any of that.
    const auto vault = kept_of(hall->vault);
    Journal::Found found;
    REQUIRE(Journal::open(*duplicate(vault[2]), found));
    auto notes = Slip::open(*duplicate(vault[3]));
    REQUIRE(notes);
    notes->begin_plan(found.last, hall->vault.planned().size());
    hall = restarted(std::move(hall));
    CHECK(count(kept.fd) == 6U);
    CHECK(count(lost.fd) == 3U);
    CHECK(count(also_lost.fd) == 3U);
}

// Takings.

TEST_CASE("what was taken and not committed is put back")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    hall->create("a", Mode::automatic, 1);
    hall->vault.commit();
    REQUIRE(hall->registry.take(object(*hall, "s")) == true);
    REQUIRE(hall->registry.take(object(*hall, "s")) == true);
    REQUIRE(hall->registry.take(object(*hall, "a")) == true);
    REQUIRE(hall->registry.take(object(*hall, "a")) == false);
    REQUIRE(tokens(*hall, "s") == 1);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
    CHECK(tokens(*hall, "a") == 1);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
}

// It goes on for as long as the hall does.
Wait& wait_for(Hall& hall, Session& session, std::string_view name)
{
    auto wait = hall.waits.start(
        session.peer, *hall.quota.take(alice, Resource::waits), {.names = names({name})}, [] {},
        session.next_call());
    REQUIRE(wait);
    return *hall.begun.emplace_back(*std::move(wait));
}

TEST_CASE("what was taken for a call that was not counted is put back")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    hall->registry.count_call(hall->owner, "created");
    REQUIRE(wait_for(*hall, hall->owner, "s").outcome().has_value());
    hall->vault.commit();
    REQUIRE(tokens(*hall, "s") == 2);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
}

TEST_CASE("what is said to be taken from a timer or a pulse is put back nowhere")
{
    const auto was_counted = GENERATE(false, true);
    auto hall = new_hall();
    arm(*hall, {.name = "t"_name, .after = 1h});
    hall->create("p", Mode::pulse);
    hall->create("s", Mode::semaphore);
    hall->registry.count_call(hall->owner, {});
    record::Takings takings{static_cast<record::Id>(hall->owner.id), was_counted ? 1 : 2, {}};
    for (const auto* name : {"t", "p", "s"})
        takings.from.push_back(static_cast<record::Id>(object(*hall, name).serial));
    hall->vault.put(hall->registry.new_id(), takings);

    hall = killed_and_restarted(std::move(hall));
    REQUIRE(hall->sessions.size() == 1);
    hall->registry.end(hall->sessions.front());

    CHECK(tokens(*hall, "s") == 1);
    CHECK(object(*hall, "p").pulse()->pulses() == 0);
}

TEST_CASE("what was taken for a call that was counted is in doubt, and put back if nobody comes")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    REQUIRE(wait_for(*hall, hall->owner, "s").outcome().has_value());
    hall->registry.count_call(hall->owner, "took it");
    hall->vault.commit();
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 2);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 2);
    REQUIRE(hall->sessions.size() == 1);
    REQUIRE(hall->sessions.front().count->in_doubt.size() == 1);
    hall->registry.end(hall->sessions.front());
    CHECK(tokens(*hall, "s") == 3);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
}

TEST_CASE("an auto event from which several took is set again")
{
    auto hall = new_hall();
    hall->create("a", Mode::automatic, 1);
    Session other{hall->registry.new_id(), person(alice), {}, {}};
    wait_for(*hall, hall->owner, "a");
    set(*hall, "a");
    wait_for(*hall, other, "a");
    hall->vault.commit();
    CHECK_FALSE(hall->event("a").is_set());
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "a") == 1);
}

TEST_CASE("of one connection that waits several times before it reads all that it took is put back")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    Session nobodys{hall->registry.new_id(), person(alice), {}, {}};
    for (int i = 0; i < 3; ++i)
        wait_for(*hall, nobodys, "s");
    hall->vault.commit();
    REQUIRE(tokens(*hall, "s") == 0);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
}

TEST_CASE("the answer to one wait does not settle what the next one took")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    Session nobodys{hall->registry.new_id(), person(alice), {}, {}};
    auto& first = wait_for(*hall, nobodys, "s");
    wait_for(*hall, nobodys, "s");
    first.settle(nobodys);
    hall->vault.commit();
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 2);
}

// Killed at any instant.

struct Tally {
    std::atomic<std::int64_t> set;   // Tokens, as far as that was answered.
    std::atomic<std::int64_t> taken; // And of waits that were answered.
};

TEST_CASE("a daemon that is killed at any instant has each token that was acknowledged once")
{
    const auto at_once = GENERATE(std::int64_t{1}, 20);
    void* memory =
        ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto& tally = *new (memory) Tally{};
    auto first = new_hall();
    first->create("s", Mode::semaphore);
    first->vault.commit();
    auto kept = killed(std::move(first));
    std::mt19937 source{42};

    for (int round = 0; round < 40; ++round) {
        std::array<int, 2> pipe{};
        REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
        const UniqueFd ready{pipe[0]};
        UniqueFd tell{pipe[1]};
        const auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            Vault::Descriptors mine;
            for (std::size_t i = 0; i < mine.size(); ++i)
                mine[i] = UniqueFd{::dup(kept[i].get())};
            Hall hall{std::move(mine)};
            (void)!::write(pipe[1], "x", 1);
            while (true) {
                if (!hall.registry.set(hall.owner.peer, names({"s"}), at_once))
                    ::_exit(1);
                tally.set += at_once;
                auto& s = *hall.registry.find("s"_name);
                if (hall.registry.take(s) != true)
                    ::_exit(2);
                hall.vault.put(1, record::Progress{{}, 0, 0}); // That a take is committed with.
                hall.vault.commit();
                ++tally.taken;
            }
        }
        tell = {};
        char byte = 0;
        REQUIRE(::read(ready.get(), &byte, 1) == 1);
        const auto spins = std::uniform_int_distribution<int>{0, 3'000}(source);
        for (int i = 0; i < spins; ++i) // At some instant, it does not matter which.
            (void)::getppid();
        REQUIRE(::kill(child, SIGKILL) == 0);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));

        auto hall = std::make_unique<Hall>(std::move(kept));
        const auto there = static_cast<std::int64_t>(tokens(*hall, "s"));
        const auto set = tally.set.load();
        const auto taken = tally.taken.load();
        CAPTURE(round, at_once, there, set, taken);
        // One more set or taking may have been done than was told.
        const auto more = there - (set - taken);
        CHECK((more == 0 || more == at_once || more == -1));
        tally.set = there;
        tally.taken = 0;
        kept = killed(std::move(hall));
    }
    ::munmap(memory, sizeof(Tally));
}

// What the journal's first page says.
std::uint64_t commits(const UniqueFd& journal)
{
    std::uint64_t last = 0;
    REQUIRE(::pread(journal.get(), &last, sizeof last, 16) == sizeof last);
    return last;
}

// A process that takes over what is kept, and is killed in the midst of it: at the latest when it
// is done. Whether it was.
bool takes_over_until_killed(const Vault::Descriptors& kept)
{
    const auto before = commits(kept[2]);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        Vault::Descriptors mine;
        for (std::size_t i = 0; i < mine.size(); ++i)
            mine[i] = UniqueFd{::dup(kept[i].get())};
        const Hall hall{std::move(mine)};
        ::_exit(0);
    }
    int status = 0;
    while (commits(kept[2]) == before)
        if (::waitpid(child, &status, WNOHANG) == child)
            return true;
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status);
}

TEST_CASE("more than one plan may have comes back, however often the daemon is killed meanwhile")
{
    constexpr std::uint64_t answers = 80; // That nobody has read: each took one from each.
    constexpr std::uint64_t in_slip = Slip::max_takings;
    static_assert(answers * max_names_per_call > max_tokens_per_set);
    auto hall = new_hall();
    std::vector<record::Id> serials;
    for (std::size_t i = 0; i < max_names_per_call; ++i) {
        const auto name = "s/" + std::to_string(i);
        hall->create(name, Mode::semaphore);
        serials.push_back(static_cast<record::Id>(object(*hall, name).serial));
    }
    for (std::uint64_t i = 0; i < answers; ++i)
        hall->vault.put(hall->registry.new_id(), record::Takings{0, 0, serials});
    hall->vault.commit();
    for (std::uint64_t i = 0; i < in_slip; ++i)
        hall->vault.taking(static_cast<std::uint64_t>(serials[0])) = 1;
    auto kept = killed(std::move(hall));

    {
        const FileLimit limit{0}; // So it gets no further than there is room in the journal.
        hall = std::make_unique<Hall>(std::move(kept));
        std::uint64_t back = 0;
        for (std::size_t i = 0; i < max_names_per_call; ++i)
            back += tokens(*hall, "s/" + std::to_string(i));
        CHECK(back < serials.size() * answers + in_slip);
        kept = killed(std::move(hall));
    }
    while (!takes_over_until_killed(kept))
        ; // Wherever that was.

    hall = std::make_unique<Hall>(std::move(kept));
    CHECK(tokens(*hall, "s/0") == answers + in_slip);
    for (std::size_t i = 1; i < max_names_per_call; ++i)
        REQUIRE(tokens(*hall, "s/" + std::to_string(i)) == answers);
}

TEST_CASE(
    "of a wait for all that the daemon was killed in, all is put back, however much was taken")
{
    auto hall = new_hall();
    const auto before = static_cast<std::int64_t>(Slip::max_takings) - GENERATE(0, 1, 2, 3);
    hall->create("many", Mode::semaphore, before);
    for (const auto* name : {"a", "b", "c"})
        hall->create(name, Mode::semaphore, 1);
    hall->vault.commit();
    for (std::int64_t i = 0; i < before; ++i)
        REQUIRE(wait_for(*hall, hall->owner, "many").outcome().has_value());
    const auto wait = hall->waits.start(hall->owner.peer, *hall->quota.take(alice, Resource::waits),
                                        {.names = names({"a", "b", "c"})}, [] {});
    REQUIRE(wait);
    REQUIRE((*wait)->outcome().has_value());
    hall->begun.clear();
    hall = restarted(std::move(hall));
    for (const auto* name : {"a", "b", "c"})
        CHECK(tokens(*hall, name) == 1);
}

} // namespace
} // namespace evfd::daemon
