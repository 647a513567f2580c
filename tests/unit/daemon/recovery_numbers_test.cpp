// Tests that the number of an event, its mirror and its eventfd are right after a crash at any
// point.
#include "daemon/base/log.h"
#include "tests/support/probe.h"
#include "tests/support/recovery_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {
namespace {

// Opens the event for bob, who may only wait for it. Returns the wait-only descriptor.
UniqueFd open_to_wait(RegistryFixture& fixture, std::string_view name)
{
    Session session{fixture.registry.ids.next(), make_peer(bob), {}, {}};
    const auto opened = fixture.registry.open(session, names({name}));
    REQUIRE(opened);
    return received_copy(*opened->front().file_descriptor);
}

TEST_CASE("a number is as the last commit has it")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    fixture->state_store.commit();
    set(*fixture, "s", 5);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);

    set(*fixture, "s", 5);
    fixture->state_store.commit();
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "s")) == true);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 8);

    REQUIRE(fixture->registry.clear(fixture->owner.peer, names({"s"})));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 0);
    CHECK(fixture->event("s").is_number());
    CHECK(fixture->state_store.stored_fds() == 0);
}

TEST_CASE("a number keeps its counter when the permissions change")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    set(*fixture, "s", 2);
    REQUIRE(fixture->registry.set_permissions(fixture->owner.peer, "s"_name, "0600"_permissions));
    set(*fixture, "s", 1);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 6);
}

TEST_CASE("a deleted number leaves no record")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    set(*fixture, "s", 2);
    fixture->state_store.commit();
    REQUIRE(fixture->registry.delete_objects(fixture->owner.peer, names({"s"})));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(fixture->recovered.objects.empty());
    CHECK(fixture->recovered.numbers.empty());
}

TEST_CASE("an open that was not committed leaves a number, and takes from its eventfd undone")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3, "0644"_permissions);
    const bool has_mirror = GENERATE(false, true);
    std::optional<UniqueFd> waiter;
    if (has_mirror)
        waiter = open_to_wait(*fixture, "s");
    fixture->state_store.commit();
    fixture->open("s");
    REQUIRE(fixture->registry.tokens.take(object(*fixture, "s")) == true);
    CHECK(tokens(*fixture, "s") == 2);

    fixture = crash_and_restart(std::move(fixture));

    CHECK(fixture->event("s").is_number());
    CHECK(fixture->event("s").has_descriptor() == has_mirror);
    CHECK(tokens(*fixture, "s") == 3);
    if (has_mirror)
        CHECK(count(fixture->event("s").fd()) == 3U);
    CHECK(fixture->state_store.stored_fds() == (has_mirror ? 1U : 0U));
}

TEST_CASE("an opened event is the same eventfd after a crash, charged to the user who opened it")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    set(*fixture, "s", 2);
    Session other{fixture->registry.ids.next(), make_peer(bob), {}, {}};
    const auto opened = fixture->registry.open(other, names({"s"}));
    REQUIRE(opened);
    const auto client = received_copy(*opened->front().file_descriptor);
    for (int i = 0; i < 3; ++i) {
        fixture = commit_crash_and_restart(std::move(fixture));
        CHECK_FALSE(fixture->event("s").is_number());
        CHECK(fixture->quota.used(bob, Resource::opened_events) == 1);
        CHECK(fixture->quota.used(alice, Resource::opened_events) == 0);
        CHECK(fixture->quota.used(alice, Resource::objects) == 1);
        CHECK(tokens(*fixture, "s") == 5);
        REQUIRE(take(client) == 1U);
        set(*fixture, "s", 1);
    }
}

TEST_CASE("a wait-only descriptor follows the number, its eventfd, and both after a crash")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    auto fixture = new_fixture();
    fixture->create("e", mode, 0, "0644"_permissions);
    const auto waiter = open_to_wait(*fixture, "e");
    const auto check = [&] {
        CHECK_FALSE(is_readable(waiter));
        set(*fixture, "e");
        CHECK(is_readable(waiter));
        fixture = commit_crash_and_restart(std::move(fixture));
        CHECK(is_readable(waiter));
        CHECK(tokens(*fixture, "e") == 1);
        REQUIRE(fixture->registry.clear(fixture->owner.peer, names({"e"})));
        CHECK_FALSE(is_readable(waiter));
        fixture = commit_crash_and_restart(std::move(fixture));
        CHECK_FALSE(is_readable(waiter));
    };
    check();
    CHECK(fixture->event("e").is_number());
    const auto client = fixture->open("e");
    CHECK_FALSE(fixture->event("e").is_number());
    check();
    REQUIRE(add(client, 1));
    CHECK(is_readable(waiter));
}

TEST_CASE(
    "a set that was committed reaches the mirror after a crash, and a lost clear sets it again")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 1, "0644"_permissions);
    const auto waiter = open_to_wait(*fixture, "s");
    fixture->state_store.commit();
    // The daemon is killed between the commit of a Set and the write to the mirror.
    const auto serial = object(*fixture, "s").serial;
    fixture->state_store.put(serial, record::Number{4});
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(count(fixture->event("s").fd()) == 4U);

    REQUIRE(fixture->registry.clear(fixture->owner.peer, names({"s"})));
    CHECK_FALSE(is_readable(waiter));
    fixture = crash_and_restart(std::move(fixture)); // The Clear was not committed.
    CHECK(count(fixture->event("s").fd()) == 4U);
    CHECK(is_readable(waiter));
}

TEST_CASE("a number without its mirror is complete, and a warning says who must open it again")
{
    auto fixture = new_fixture();
    auto record = event_record("s", Mode::semaphore);
    record.number = 3;
    record.opened_by = bob;
    const auto id = fixture->registry.ids.next();
    fixture->state_store.put(id, record);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
    CHECK(
        fixture->recovered.warnings ==
        std::vector{"clients that may only wait for 's' must open it again: its descriptor is not "
                    "in the stash"s});
    CHECK(fixture->quota.used(bob, Resource::opened_events) == 0);
}

// The tests below walk all sequences of steps on one event, up to a length, and compare the event
// with a model after each step.

enum class Step { set, set_two, take, open, open_to_wait, client_set, client_take, clear };
constexpr std::size_t step_count = 8;

// What follows a step.
enum class End { nothing, commit, kill, commit_and_kill };
constexpr std::size_t end_count = 4;

// An event, what a client has of it, and what its counter must be. Since the last commit, the
// client has received no reply.
class Walk {
public:
    explicit Walk(Mode mode) : mode_{mode}
    {
        fixture_->create("e", mode, 0, "0644"_permissions);
        commit();
    }

    // Does the step. Returns false if the step is impossible now.
    bool apply(Step step)
    {
        switch (step) {
        case Step::set: set_by_name(1); break;
        case Step::set_two: set_by_name(2); break;
        case Step::take:
            if (mode_ == Mode::manual)
                return false;
            take();
            break;
        case Step::open: opened_ = fixture_->open("e"); break;
        case Step::open_to_wait: opened_to_wait_ = open_to_wait(*fixture_, "e"); break;
        case Step::client_set:
            if (!client_)
                return false;
            REQUIRE(add(*client_, 1));
            change_all([&](std::int64_t count) { return after_set(count, 1); });
            break;
        case Step::client_take:
            if (!client_)
                return false;
            REQUIRE((*evfd::take(*client_) > 0) == (count_ > 0));
            change_all([&](std::int64_t count) { return after_take(count); });
            break;
        case Step::clear:
            REQUIRE(fixture_->registry.clear(fixture_->owner.peer, names({"e"})));
            count_ = 0;
            break;
        }
        possible_.insert(count_);
        return true;
    }
    // Commits, and lets the client receive all replies.
    void commit()
    {
        fixture_->state_store.commit();
        for (const auto& wait : fixture_->started_waits)
            wait->confirm_taken(fixture_->owner);
        fixture_->started_waits.clear();
        fixture_->state_store.commit();
        if (opened_)
            client_ = std::exchange(opened_, {});
        if (opened_to_wait_)
            waiter_ = std::exchange(opened_to_wait_, {});
        begin_at(count_);
    }
    // Kills the daemon. Whatever the client has received no reply about, has taken effect or not. A
    // token that was taken for such a reply returns.
    void kill()
    {
        opened_.reset();
        opened_to_wait_.reset();
        const auto returning = static_cast<std::int64_t>(fixture_->started_waits.size());
        fixture_ = crash_and_restart(std::move(fixture_));
        const auto found = counted();
        REQUIRE(found <= most_);
        REQUIRE(std::ranges::any_of(possible_, [&](std::int64_t count) {
            return found == count ||
                   (found > count && found <= after_set(count, returning) && returning > 0);
        }));
        begin_at(found);
    }
    void check()
    {
        REQUIRE(counted() == count_);
        REQUIRE(fixture_->event("e").is_set() == (count_ > 0));
        if (client_)
            REQUIRE(is_readable(*client_) == (count_ > 0));
        if (waiter_)
            REQUIRE(is_readable(*waiter_) == (count_ > 0));
    }

private:
    std::int64_t after_set(std::int64_t count, std::int64_t tokens) const
    {
        return mode_ == Mode::semaphore ? count + tokens : 1;
    }
    std::int64_t after_take(std::int64_t count) const
    {
        return mode_ == Mode::semaphore ? std::max<std::int64_t>(count - 1, 0) : 0;
    }
    // A counter of a manual or auto event is 1 if the event is set, however often it was set.
    std::int64_t counted()
    {
        const auto count = static_cast<std::int64_t>(tokens(*fixture_, "e"));
        return mode_ == Mode::semaphore ? count : std::min<std::int64_t>(count, 1);
    }
    void set_by_name(std::int64_t tokens)
    {
        set(*fixture_, "e", tokens);
        count_ = after_set(count_, tokens);
        most_ = after_set(most_, tokens);
    }
    // Takes tokens by a wait whose reply the client receives with the next commit.
    void take()
    {
        auto wait =
            fixture_->start(fixture_->owner.peer, *fixture_->quota.charge(alice, Resource::waits),
                            {.items = wait_items({"e"}), .timeout = nanoseconds{0}}, [] {});
        REQUIRE(wait.has_value() == (count_ > 0));
        if (!wait)
            return;
        fixture_->started_waits.push_back(*std::move(wait));
        count_ = after_take(count_);
    }
    // Changes the counter as a client does, without the daemon: a kill undoes no such change.
    template <class Changed>
    void change_all(Changed changed)
    {
        count_ = changed(count_);
        most_ = changed(most_);
        std::set<std::int64_t> possible;
        for (const auto count : possible_)
            possible.insert(changed(count));
        possible_ = std::move(possible);
    }
    void begin_at(std::int64_t count)
    {
        count_ = most_ = count;
        possible_ = {count};
    }

    std::unique_ptr<RegistryFixture> fixture_ = new_fixture();
    Mode mode_;
    std::optional<UniqueFd> client_;
    std::optional<UniqueFd> waiter_;
    std::optional<UniqueFd> opened_; // Becomes client_ with the reply.
    std::optional<UniqueFd> opened_to_wait_;
    std::int64_t count_ = 0;
    std::int64_t most_ = 0;           // The counter if no take and no clear had taken effect.
    std::set<std::int64_t> possible_; // The counters since the last commit.
};

// A sequence is a number, which has a digit for each step and each end.
void walk_sequence(Mode mode, int length, std::size_t sequence)
{
    Walk walk{mode};
    for (int i = 0; i < length; ++i) {
        const auto step = static_cast<Step>(sequence % step_count);
        sequence /= step_count;
        const auto end = static_cast<End>(sequence % end_count);
        sequence /= end_count;
        if (!walk.apply(step))
            return;
        if (end == End::commit || end == End::commit_and_kill)
            walk.commit();
        if (end == End::kill || end == End::commit_and_kill)
            walk.kill();
        walk.check();
    }
}

// Walks the sequences in a child process, because a killed fixture leaves its descriptors open.
// Returns 0, or 1 if a sequence failed, which is then printed.
int walk_in_child(Mode mode, int length, std::size_t first, std::size_t last)
{
    return probe::in_child([&] {
        log::set_level(log::Level::error);
        for (auto sequence = first; sequence < last; ++sequence)
            try {
                walk_sequence(mode, length, sequence);
            } catch (...) {
                fmt::print(stderr, "sequence {} of mode {}\n", sequence, to_string(mode));
                return 1;
            }
        return 0;
    });
}

void walk_all(Mode mode)
{
    constexpr int length = 3;
    constexpr std::size_t at_once = 200;
    std::size_t sequences = 1;
    for (int i = 0; i < length; ++i)
        sequences *= step_count * end_count;
    for (std::size_t first = 0; first < sequences; first += at_once)
        REQUIRE(walk_in_child(mode, length, first, std::min(first + at_once, sequences)) == 0);
}

// Each mode has a test of its own, because with sanitizers a walk takes more than a minute.

TEST_CASE("no sequence of sets, takes, opens and kills loses a set of a manual event")
{
    walk_all(Mode::manual);
}

TEST_CASE("no sequence of sets, takes, opens and kills loses or duplicates a set of an auto event")
{
    walk_all(Mode::automatic);
}

TEST_CASE("no sequence of sets, takes, opens and kills loses or duplicates a token of a semaphore")
{
    walk_all(Mode::semaphore);
}

} // namespace
} // namespace evfd::daemon
