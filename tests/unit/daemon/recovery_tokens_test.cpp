// Tests that each token exists once after a crash at any point.
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

// The tests below are about intents.

struct Targets {
    std::vector<record::Increment> additions;
    std::vector<int> fds;
};

// Returns the increments of one Set on events of every mode, and the eventfds that the Set
// increments.
Targets intent_for_every_mode(RegistryFixture& fixture)
{
    Targets targets;
    for (const auto& [name, tokens] : {std::pair{"s", 5}, {"a", 1}, {"m", 1}, {"p", 2}}) {
        auto& target = object(fixture, name);
        targets.additions.push_back({static_cast<record::Id>(target.serial), tokens});
        if (target.pulse())
            target.pulse()->append_targets(tokens, targets.fds, targets.fds);
        else
            target.event()->append_targets(tokens, targets.fds);
    }
    return targets;
}

TEST_CASE("each token exists once wherever the daemon crashes while it applies an intent")
{
    constexpr std::size_t all = 5 + 1 + 1 + 2 * 3;
    for (std::size_t done = 0; done <= all; ++done) {
        CAPTURE(done);
        auto fixture = new_fixture();
        fixture->create("s", Mode::semaphore, 2);
        fixture->create("a", Mode::automatic);
        fixture->create("m");
        for (const auto* name : {"s", "a", "m"})
            fixture->open(name);
        fixture->create("p", Mode::pulse);
        const std::array clients{subscribe(*fixture, "p"), subscribe(*fixture, "p"),
                                 subscribe(*fixture, "p")};
        fixture->finish_call();
        const auto incrementer = make_incrementer();
        const auto [additions, fds] = intent_for_every_mode(*fixture);
        REQUIRE(fds.size() == all);
        const auto intent = fixture->state_store.begin_intent(additions, fds.size());
        REQUIRE(intent);
        REQUIRE(
            incrementer.add(std::span{fds}.first(done), intent->pending_increments().first(done)));

        fixture = crash_and_restart(std::move(fixture));
        for (int i = 0; i < 2; ++i) {
            CHECK(tokens(*fixture, "s") == 7);
            CHECK(tokens(*fixture, "a") == 1);
            CHECK(tokens(*fixture, "m") == 1);
            for (const auto& client : clients)
                CHECK(count(client.fd) == 2U);
            // The next daemon must not add the tokens again.
            fixture = crash_and_restart(std::move(fixture));
        }
    }
}

TEST_CASE("an uncommitted intent is not redone")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore);
    fixture->open("s");
    fixture->state_store.commit();
    const auto id = static_cast<record::Id>(object(*fixture, "s").serial);
    auto page = ProgressPage::open(*duplicate(stored_fds_of(fixture->state_store)[3]));
    REQUIRE(page);
    page->begin_intent(3, 5);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 0);
    CHECK(id > 0);
}

TEST_CASE("an intent with more tokens than the counter can hold is not redone")
{
    const auto mode = GENERATE(Mode::semaphore, Mode::pulse);
    const auto many = GENERATE(std::int64_t{-1}, max_tokens_per_set + 1,
                               std::numeric_limits<std::int64_t>::max());
    auto fixture = new_fixture();
    fixture->create("e", mode);
    std::optional<Subscriber> subscriber;
    if (mode == Mode::pulse)
        subscriber = subscribe(*fixture, "e");
    else
        fixture->open("e");
    fixture->finish_call();
    const auto id = static_cast<record::Id>(object(*fixture, "e").serial);
    const auto intent = fixture->state_store.begin_intent({{id, many}}, 3);
    REQUIRE(intent);

    fixture = crash_and_restart(std::move(fixture));

    REQUIRE(fixture->registry.objects.all().size() == 1);
    if (subscriber)
        CHECK(count(subscriber->fd) == 0U);
    else
        CHECK(tokens(*fixture, "e") == 0);
}

TEST_CASE("a token of an opened event that a taker did not confirm returns once")
{
    auto fixture = new_fixture();
    fixture->create("a", Mode::automatic);
    fixture->open("a");
    set(*fixture, "a");
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "a")) == true);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "a") == 1);
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "a")) == true);
    fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    // No recorded call consumed the token, so the daemon returned the token.
    CHECK(tokens(*fixture, "a") == 1);
}

TEST_CASE("many tokens that were added and consumed do not return")
{
    const bool is_opened = GENERATE(false, true);
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore);
    if (is_opened)
        fixture->open("s");
    set(*fixture, "s", 20);
    REQUIRE(fixture->registry.clear(fixture->owner.peer, names({"s"})));
    REQUIRE(tokens(*fixture, "s") == 0);
    fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 0);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 0);
}

TEST_CASE("increments for subscriptions that are not persistent do not disturb persistent ones")
{
    auto fixture = new_fixture();
    fixture->create("p", Mode::pulse);
    Session orphaned{fixture->registry.ids.next(), make_peer(bob), {}, {}};
    const auto stored = subscribe(*fixture, "p");
    const auto lost = subscribe(*fixture, orphaned, "p");
    fixture->finish_call();
    set(*fixture, "p", 1);
    const auto also_lost = subscribe(*fixture, orphaned, "p");
    fixture->finish_call();
    set(*fixture, "p", 3);
    CHECK(count(stored.fd) == 4U);
    CHECK(count(lost.fd) == 4U);
    CHECK(count(also_lost.fd) == 3U);

    // Writes the intent of the Set to the progress page again, as if no token had been added yet.
    const auto stored_fds = stored_fds_of(fixture->state_store);
    Journal::Contents found;
    REQUIRE(Journal::open(*duplicate(stored_fds[2]), found));
    auto page = ProgressPage::open(*duplicate(stored_fds[3]));
    REQUIRE(page);
    page->begin_intent(found.last, fixture->state_store.pending_increments().size());
    fixture = crash_and_restart(std::move(fixture));
    CHECK(count(stored.fd) == 7U);
    CHECK(count(lost.fd) == 4U);
    CHECK(count(also_lost.fd) == 3U);
}

// The tests below are about tokens that were taken.

TEST_CASE("tokens that were consumed without a commit are returned")
{
    const bool is_opened = GENERATE(false, true);
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    fixture->create("a", Mode::automatic, 1);
    if (is_opened) {
        fixture->open("s");
        fixture->open("a");
    }
    fixture->state_store.commit();
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "s")) == true);
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "s")) == true);
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "a")) == true);
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "a")) == false);
    REQUIRE(tokens(*fixture, "s") == 1);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
    CHECK(tokens(*fixture, "a") == 1);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
}

// Begins a wait that lives as long as the fixture.
Wait& wait_for(RegistryFixture& fixture, Session& session, std::string_view name)
{
    ReplyCache reply_cache{fixture.registry, session};
    reply_cache.begin(ReplyCache::Recorded::reply);
    auto wait = fixture.start(
        session.peer, *fixture.quota.charge(alice, Resource::waits), {.items = wait_items({name})},
        [] {}, reply_cache.call());
    REQUIRE(wait);
    return *fixture.started_waits.emplace_back(*std::move(wait));
}

TEST_CASE("tokens that were consumed for an uncommitted call are returned")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    fixture->finish_call("created");
    REQUIRE(wait_for(*fixture, fixture->owner, "s").outcome().has_value());
    fixture->state_store.commit();
    REQUIRE(tokens(*fixture, "s") == 2);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
}

TEST_CASE("tokens that are recorded as taken from a timer or pulse return nowhere")
{
    const auto was_counted = GENERATE(false, true);
    auto fixture = new_fixture();
    arm(*fixture, {.name = "t"_name, .after = 1h});
    fixture->create("p", Mode::pulse);
    fixture->create("s", Mode::semaphore);
    fixture->finish_call();
    record::TakenTokens taken{static_cast<record::Id>(fixture->owner.id), was_counted ? 1 : 2, {}};
    for (const auto* name : {"t", "p", "s"})
        taken.objects.push_back(static_cast<record::Id>(object(*fixture, name).serial));
    fixture->state_store.put(fixture->registry.ids.next(), taken);

    fixture = commit_crash_and_restart(std::move(fixture));
    REQUIRE(fixture->sessions.size() == 1);
    fixture->registry.end(fixture->sessions.front());

    CHECK(tokens(*fixture, "s") == 1);
    CHECK(object(*fixture, "p").pulse()->pulses() == 0);
}

TEST_CASE("tokens of a committed call are in doubt, and return if no client resumes")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    REQUIRE(wait_for(*fixture, fixture->owner, "s").outcome().has_value());
    fixture->finish_call("took it");
    fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 2);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 2);
    REQUIRE(fixture->sessions.size() == 1);
    REQUIRE(fixture->sessions.front().in_doubt.size() == 1);
    fixture->registry.end(fixture->sessions.front());
    CHECK(tokens(*fixture, "s") == 3);
    fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
}

TEST_CASE("an auto event with several unconfirmed takers is set again")
{
    auto fixture = new_fixture();
    fixture->create("a", Mode::automatic, 1);
    Session other{fixture->registry.ids.next(), make_peer(alice), {}, {}};
    wait_for(*fixture, fixture->owner, "a");
    set(*fixture, "a");
    wait_for(*fixture, other, "a");
    fixture->state_store.commit();
    CHECK_FALSE(fixture->event("a").is_set());
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "a") == 1);
}

TEST_CASE("all unread tokens of one connection with several waits are returned")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    Session orphaned{fixture->registry.ids.next(), make_peer(alice), {}, {}};
    for (int i = 0; i < 3; ++i)
        wait_for(*fixture, orphaned, "s");
    fixture->state_store.commit();
    REQUIRE(tokens(*fixture, "s") == 0);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
}

TEST_CASE("the reply to one wait does not confirm the tokens of the next")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    Session orphaned{fixture->registry.ids.next(), make_peer(alice), {}, {}};
    auto& first = wait_for(*fixture, orphaned, "s");
    wait_for(*fixture, orphaned, "s");
    first.confirm_taken(orphaned);
    fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 2);
}

// The tests below crash the daemon at any instant.

struct TokenLedger {
    std::atomic<std::int64_t> set;   // The number of tokens added by Sets that have ended.
    std::atomic<std::int64_t> taken; // The number of tokens consumed by takes that were committed.
};

TEST_CASE("a daemon that is killed at any instant keeps each acknowledged token once")
{
    const auto at_once = GENERATE(std::int64_t{1}, 20);
    const bool is_opened = GENERATE(false, true);
    void* memory = ::mmap(nullptr, sizeof(TokenLedger), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto& ledger = *new (memory) TokenLedger{};
    auto first = new_fixture();
    first->create("s", Mode::semaphore);
    if (is_opened)
        first->open("s");
    first->state_store.commit();
    auto stored = crash(std::move(first));
    std::mt19937 random_engine{42};

    for (int round = 0; round < 40; ++round) {
        std::array<int, 2> pipe{};
        REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
        const UniqueFd ready{pipe[0]};
        UniqueFd ready_signal{pipe[1]};
        const auto child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            StateStore::Descriptors own_copy;
            for (std::size_t i = 0; i < own_copy.size(); ++i)
                own_copy[i] = UniqueFd{::dup(stored[i].get())};
            RegistryFixture fixture{std::move(own_copy)};
            (void)!::write(pipe[1], "x", 1);
            while (true) {
                if (!fixture.registry.set(fixture.owner.peer, set_items({"s"}, at_once)))
                    ::_exit(1);
                fixture.state_store.commit();
                ledger.set += at_once;
                auto& s = *fixture.registry.objects.find("s"_name);
                if (fixture.registry.tokens.take(s) != true)
                    ::_exit(2);
                // commit() commits the take together with the record that put() adds.
                fixture.state_store.put(1, record::Counters{{}, 0, 0});
                fixture.state_store.commit();
                ++ledger.taken;
            }
        }
        ready_signal = {};
        char byte = 0;
        REQUIRE(::read(ready.get(), &byte, 1) == 1);
        const auto spins = std::uniform_int_distribution<int>{0, 3'000}(random_engine);
        // Spins for a random time, so that the kill comes at any instant.
        for (int i = 0; i < spins; ++i)
            (void)::getppid();
        REQUIRE(::kill(child, SIGKILL) == 0);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));

        auto fixture = std::make_unique<RegistryFixture>(std::move(stored));
        const auto token_count = static_cast<std::int64_t>(tokens(*fixture, "s"));
        const auto set = ledger.set.load();
        const auto taken = ledger.taken.load();
        CAPTURE(round, at_once, token_count, set, taken);
        // The killed daemon can have executed one more Set or take that `ledger` does not include.
        const auto more = token_count - (set - taken);
        CHECK((more == 0 || more == at_once || more == -1));
        ledger.set = token_count;
        ledger.taken = 0;
        stored = crash(std::move(fixture));
    }
    ::munmap(memory, sizeof(TokenLedger));
}

// Returns the number of commits according to the first page of the journal.
std::uint64_t commits(const UniqueFd& journal)
{
    std::uint64_t last = 0;
    REQUIRE(::pread(journal.get(), &last, sizeof last, 16) == sizeof last);
    return last;
}

// Runs the recovery in a child process and kills the child after its first commit. Returns true if
// the recovery finished before the kill.
bool recovers_before_kill(const StateStore::Descriptors& stored)
{
    const auto before = commits(stored[2]);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        StateStore::Descriptors own_copy;
        for (std::size_t i = 0; i < own_copy.size(); ++i)
            own_copy[i] = UniqueFd{::dup(stored[i].get())};
        const RegistryFixture fixture{std::move(own_copy)};
        ::_exit(0);
    }
    int status = 0;
    while (commits(stored[2]) == before)
        if (::waitpid(child, &status, WNOHANG) == child)
            return true;
    REQUIRE(::kill(child, SIGKILL) == 0);
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status);
}

TEST_CASE("more tokens than an intent may have return, however often the daemon crashes meanwhile")
{
    // The number of replies that no client has read. The wait of each reply consumed one token of
    // each event.
    constexpr std::uint64_t answers = 80;
    constexpr std::uint64_t in_progress_page = ProgressPage::max_takes;
    static_assert(answers * max_names_per_call > max_tokens_per_set);
    auto fixture = new_fixture();
    std::vector<record::Id> serials;
    for (std::size_t i = 0; i < max_names_per_call; ++i) {
        const auto name = "s/" + std::to_string(i);
        fixture->create(name, Mode::semaphore);
        serials.push_back(static_cast<record::Id>(object(*fixture, name).serial));
    }
    fixture->open("s/0");
    for (std::uint64_t i = 0; i < answers; ++i)
        fixture->state_store.put(fixture->registry.ids.next(), record::TakenTokens{0, 0, serials});
    fixture->state_store.commit();
    for (std::uint64_t i = 0; i < in_progress_page; ++i)
        fixture->state_store.begin_take(static_cast<std::uint64_t>(serials[0])).slot() = 1;
    auto stored = crash(std::move(fixture));

    {
        // The journal cannot grow, so the recovery stops before it has returned all tokens.
        const FileLimit limit{0};
        fixture = std::make_unique<RegistryFixture>(std::move(stored));
        std::uint64_t back = 0;
        for (std::size_t i = 0; i < max_names_per_call; ++i)
            back += tokens(*fixture, "s/" + std::to_string(i));
        CHECK(back < serials.size() * answers + in_progress_page);
        stored = crash(std::move(fixture));
    }
    while (!recovers_before_kill(stored))
        ; // Each recovery continues after the commits of the killed recovery before it.

    fixture = std::make_unique<RegistryFixture>(std::move(stored));
    CHECK(tokens(*fixture, "s/0") == answers + in_progress_page);
    for (std::size_t i = 1; i < max_names_per_call; ++i)
        REQUIRE(tokens(*fixture, "s/" + std::to_string(i)) == answers);
}

TEST_CASE("a wait for all that a crash interrupted returns all tokens, however many")
{
    auto fixture = new_fixture();
    const auto before = static_cast<std::int64_t>(ProgressPage::max_takes) - GENERATE(0, 1, 2, 3);
    fixture->create("many", Mode::semaphore, before);
    for (const auto* name : {"a", "b", "c"})
        fixture->create(name, Mode::semaphore, 1);
    // The wait takes tokens from numbers, from eventfds, or from both.
    const std::string opened = GENERATE("", "b", "abc");
    fixture->open("many");
    for (const auto name : opened)
        fixture->open(std::string{name});
    fixture->state_store.commit();
    for (std::int64_t i = 0; i < before; ++i)
        REQUIRE(wait_for(*fixture, fixture->owner, "many").outcome().has_value());
    const auto wait =
        fixture->start(fixture->owner.peer, *fixture->quota.charge(alice, Resource::waits),
                       {.items = wait_items({"a", "b", "c"})}, [] {});
    REQUIRE(wait);
    REQUIRE((*wait)->outcome().has_value());
    fixture->started_waits.clear();
    fixture = crash_and_restart(std::move(fixture));
    for (const auto* name : {"a", "b", "c"})
        CHECK(tokens(*fixture, name) == 1);
}

} // namespace
} // namespace evfd::daemon
