// Tests a journal that gets no more memory. Changes are refused, and no reply is sent before the
// effects of its call are committed.
#include "tests/support/recovery_fixture.h"
#include "tests/support/resource_limits.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

// Makes memory short as long as the object exists. The journal still has room for pending work, but
// none for new work.
class MemoryShortage {
public:
    MemoryShortage(StateStore& state_store, std::uint64_t id) : state_store_{state_store}, id_{id}
    {
        while (state_store_.prepare()) {
            state_store_.put(id_, record::Counters{{}, 0, 0});
            REQUIRE(state_store_.commit());
        }
    }
    ~MemoryShortage()
    {
        state_store_.erase(id_, record::Kind::counters);
        state_store_.erase(id_, record::Kind::session);
    }
    MemoryShortage(const MemoryShortage&) = delete;
    MemoryShortage& operator=(const MemoryShortage&) = delete;

    // Fills the journal, so that even small commits fail from now on.
    void fill_completely()
    {
        state_store_.put(id_, record::Session{.token = {},
                                              .uid = alice,
                                              .sequence = 0,
                                              .cached_reply = std::string(1 << 20, 'x'),
                                              .new_subscriptions = {},
                                              .tokens_applied = {}});
        REQUIRE_FALSE(state_store_.commit());
    }

private:
    FileLimit limit_{0};
    StateStore& state_store_;
    std::uint64_t id_;
};

// Runs the loop until the condition holds. Returns false if the condition does not hold in time.
template <class Condition>
bool runs_until(EventLoop& loop, Condition condition)
{
    const auto end = monotonic_deadline(20s);
    while (monotonic_now() < end) {
        if (condition())
            return true;
        REQUIRE(loop.run_once(20ms));
    }
    return false;
}

TEST_CASE("a call that needs storage is refused without memory and changes nothing")
{
    const auto is_resumed = GENERATE(false, true);
    const auto [method, parameters] = GENERATE(table<std::string, std::string>({
        {"CreateEvent", R"({"name":"new"})"},
        {"CreateEvent", R"({"name":"new","lifetime":"session"})"},
        {"Arm", R"({"name":"new","afterNSec":1000000000})"},
        {"Arm", R"({"name":"t","afterNSec":1000000000})"},
        {"Disarm", R"({"items":[{"name":"t"}]})"},
        {"Set", R"({"items":[{"name":"s"}]})"},
        {"Set", R"({"items":[{"name":"s","count":3},{"name":"p","count":3}]})"},
        {"Clear", R"({"items":[{"name":"s"}]})"},
        {"Wait", R"({"items":[{"name":"s"}]})"},
        {"Wait", R"({"items":[{"name":"s"}],"hold":"session"})"},
        {"Wait", R"({"items":[{"name":"m"},{"name":"s"}]})"},
        {"Delete", R"({"items":[{"name":"s"}]})"},
        {"SetPermissions", R"({"name":"s","permissions":"0600"})"},
        {"Open", R"({"items":[{"name":"p"}]})"},
    }));
    CAPTURE(method, parameters, is_resumed);
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    if (is_resumed)
        daemon->request(client, "Resume",
                        R"({"session":"00112233445566778899aabbccddeeff","sequence":0})");
    daemon->request(client, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":2})");
    daemon->request(client, "CreateEvent", R"({"name":"m","initial":1})");
    daemon->request(client, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon->request(client, "Arm", R"({"name":"t","afterNSec":3600000000000})");
    const auto shown = [&] {
        return daemon->request(client, "Show", R"({"name":"s"})") +
               daemon->request(client, "Show", R"({"name":"p"})") +
               daemon->request(client, "ListObjects", R"({"pattern":"new"})", true);
    };
    const auto before = shown();
    {
        const MemoryShortage memory_shortage{daemon->state_store,
                                             daemon->service.registry().ids.next()};
        const auto reply = daemon->request(client, method, parameters);
        CHECK(reply.contains("io.evfdd.SystemFailure"));
        CHECK(reply.contains("fallocate(2)"));
        CHECK(shown() == before);
        CHECK(daemon->request(client, "Status").contains(R"("isJournalWritable":false)"));
    }
    CHECK(shown() == before);
    CHECK_FALSE(daemon->request(client, method, parameters).contains("error"));
    CHECK(daemon->request(client, "Status").contains(R"("isJournalWritable":true)"));
}

TEST_CASE("repeated refusals take no room in the journal")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    daemon->request(client, "Resume",
                    R"({"session":"00112233445566778899aabbccddeeff","sequence":0})");
    daemon->request(client, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":1})");
    {
        const MemoryShortage memory_shortage{daemon->state_store,
                                             daemon->service.registry().ids.next()};
        const auto bytes = daemon->state_store.journal_bytes();
        for (int i = 0; i < 20; ++i) {
            CHECK(daemon->request(client, "Set", R"({"items":[{"name":"s"}]})")
                      .contains("SystemFailure"));
            CHECK(daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})")
                      .contains("SystemFailure"));
        }
        CHECK(daemon->state_store.journal_bytes() == bytes);
    }
    CHECK_FALSE(daemon->request(client, "Set", R"({"items":[{"name":"s"}]})").contains("error"));
    daemon = crash_and_restart(std::move(daemon));
    auto again = daemon->connect();
    CHECK(daemon
              ->request(again, "Resume",
                        R"({"session":"00112233445566778899aabbccddeeff","sequence":42})")
              .contains(R"("isHistoryComplete":true)"));
}

TEST_CASE("a Set of many tokens continues once its rest can be stored")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    daemon->request(client, "CreateEvent", R"({"name":"s","mode":"semaphore"})");
    // The daemon adds tokens one by one to a semaphore that it shares with a client.
    daemon->request(client, "Open", R"({"items":[{"name":"s"}]})");
    const auto& event = *daemon->service.registry().objects.find("s"_name)->event();
    const auto are_all_added = [&] {
        return *event.count() == static_cast<std::uint64_t>(max_tokens_per_set);
    };
    // A fast machine can add all tokens in one iteration. The test tries again until an iteration
    // adds only some tokens.
    bool is_halfway = false;
    for (int i = 0; !is_halfway && i < 100; ++i) {
        daemon->request(client, "Clear", R"({"items":[{"name":"s"}]})");
        client.call("Set",
                    fmt::format(R"({{"items":[{{"name":"s","count":{}}}]}})", max_tokens_per_set));
        REQUIRE(runs_until(daemon->loop, [&] { return event.is_set(); }));
        is_halfway = !are_all_added();
        if (!is_halfway)
            REQUIRE(runs_until(daemon->loop, [&] { return !client.reply().empty(); }));
    }
    REQUIRE(is_halfway);
    {
        MemoryShortage memory_shortage{daemon->state_store, daemon->service.registry().ids.next()};
        memory_shortage.fill_completely();
        run_until_idle(daemon->loop);
        CHECK(client.reply().empty());
        CHECK_FALSE(are_all_added());
    }
    CHECK(runs_until(daemon->loop, are_all_added));
}

TEST_CASE("a wait that consumes nothing works without memory")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    daemon.request(client, "CreateEvent", R"({"name":"m","initial":1})");
    const MemoryShortage memory_shortage{daemon.state_store, daemon.service.registry().ids.next()};
    CHECK(daemon.request(client, "Wait", R"({"items":[{"name":"m"}]})").contains("fired"));
}

TEST_CASE("a reply waits until its effects are committed, and other clients are answered meanwhile")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    auto other = daemon->connect();
    daemon->request(client, "Resume",
                    R"({"session":"00112233445566778899aabbccddeeff","sequence":0})");
    daemon->request(client, "CreateEvent", R"({"name":"m"})");
    daemon->request(client, "Open", R"({"items":[{"name":"m"}]})");
    client.call("Wait", R"({"items":[{"name":"m"}]})");
    run_until_idle(daemon->loop);
    REQUIRE(client.descriptors.size() == 1);
    {
        MemoryShortage memory_shortage{daemon->state_store, daemon->service.registry().ids.next()};
        memory_shortage.fill_completely();
        REQUIRE(add(client.descriptors.front(), 1));
        run_until_idle(daemon->loop);
        // The effects of the wait are not committed yet, so no reply is sent.
        CHECK(client.reply().empty());
        CHECK(daemon->request(other, "Status").contains(R"("isJournalWritable":false)"));
        CHECK(client.reply().empty());
    }
    std::string reply;
    CHECK(runs_until(daemon->loop, [&] { return !(reply = client.reply()).empty(); }));
    CHECK(reply.contains("fired"));
}

TEST_CASE("tokens of a Set that was not committed are never added")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore);
    fixture->create("p", Mode::pulse);
    const auto subscriber = subscribe(*fixture, "p");
    fixture->finish_call();
    fixture->state_store.commit();
    {
        MemoryShortage memory_shortage{fixture->state_store, fixture->registry.ids.next()};
        memory_shortage.fill_completely();
        const auto done = fixture->registry.set(fixture->owner.peer, set_items({"s", "p"}, 5));
        CHECK(verdict(done) == "SystemFailure");
    }
    CHECK(object(*fixture, "p").pulse()->pulses() == 0);
    REQUIRE(fixture->state_store.commit()); // The commit includes the intent of the refused Set.
    for (int i = 0; i < 2; ++i) {
        CHECK(tokens(*fixture, "s") == 0);
        CHECK(count(subscriber.fd) == 0U);
        fixture = crash_and_restart(std::move(fixture));
    }
}

TEST_CASE("tokens to be returned without memory return once, later or after a restart")
{
    const auto is_killed = GENERATE(false, true);
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 3);
    auto wait = fixture->start(fixture->owner.peer, *fixture->quota.charge(alice, Resource::waits),
                               {.items = wait_items({"s"})}, [] {});
    REQUIRE(wait);
    fixture->state_store.commit();
    {
        const MemoryShortage memory_shortage{fixture->state_store, fixture->registry.ids.next()};
        (*wait)->return_tokens();
        CHECK(tokens(*fixture, "s") == 2);
        if (is_killed) { // A killed daemon would not destroy the wait, so the test leaks the wait.
            static const Wait* dead = nullptr;
            dead = wait->release();
            REQUIRE(dead);
        }
    }
    if (is_killed)
        fixture = crash_and_restart(std::move(fixture));
    CHECK(runs_until(fixture->loop, [&] { return tokens(*fixture, "s") == 3; }));
    run_until_idle(fixture->loop);
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 3);
}

TEST_CASE("tokens to be returned survive earlier commits")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore, 1);
    fixture->open("s");
    {
        const MemoryShortage memory_shortage{fixture->state_store, fixture->registry.ids.next()};
        const auto serial = object(*fixture, "s").serial;
        auto take = fixture->state_store.begin_take(serial);
        REQUIRE(take_into(fixture->event("s").fd(), take.slot()) == true);
        const TakenTokens taken{.tokens = {{"s"_name, serial}}};
        fixture->registry.tokens.return_tokens(std::span{&taken, 1});
        fixture->state_store.put(serial, record::Counters{{}, 0, 0});
        REQUIRE(fixture->state_store.commit()); // The journal still has room for a small commit.
        CHECK(tokens(*fixture, "s") == 0);
    }
    fixture = crash_and_restart(std::move(fixture));
    CHECK(tokens(*fixture, "s") == 1);
}

TEST_CASE("a timer sets its event later when memory was short")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore);
    arm(*fixture, {.name = "t"_name, .after = 1ms, .sets = "s"_name});
    {
        const MemoryShortage memory_shortage{fixture->state_store, fixture->registry.ids.next()};
        auto& timer = *object(*fixture, "t").timer();
        REQUIRE(runs_until(fixture->loop, [&] { return timer.target->backlog == 1; }));
        CHECK(tokens(*fixture, "s") == 0);
    }
    CHECK(runs_until(fixture->loop, [&] { return tokens(*fixture, "s") == 1; }));
}

} // namespace
} // namespace evfd::daemon
