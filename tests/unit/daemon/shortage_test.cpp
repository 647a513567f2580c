// While there is no memory for the journal: what cannot be kept is refused, and nothing that was
// done is told of before it is certain.
#include "tests/support/recovery_fixture.h"
#include "tests/support/resource_limits.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

// No memory can be had while this lives. There is room for what is under way, not for more.
class Shortage {
public:
    Shortage(Vault& vault, std::uint64_t id) : vault_{vault}, id_{id}
    {
        while (vault_.prepare()) {
            vault_.put(id_, record::Progress{{}, 0, 0});
            REQUIRE(vault_.commit());
        }
    }
    ~Shortage()
    {
        vault_.drop(id_, record::Kind::progress);
        vault_.drop(id_, record::Kind::session);
    }
    Shortage(const Shortage&) = delete;
    Shortage& operator=(const Shortage&) = delete;

    // Not even little can be committed from now on.
    void leave_no_room()
    {
        vault_.put(id_, record::Session{.token = {},
                                        .uid = alice,
                                        .calls = 0,
                                        .reply = std::string(1 << 20, 'x'),
                                        .opened = {},
                                        .given = {}});
        REQUIRE_FALSE(vault_.commit());
    }

private:
    FileLimit limit_{0};
    Vault& vault_;
    std::uint64_t id_;
};

// The loop turns until then; whether it came to it.
template <class Condition>
bool turns_until(EventLoop& loop, Condition condition)
{
    const auto end = monotonic_after(20s);
    while (monotonic_now() < end) {
        if (condition())
            return true;
        REQUIRE(loop.run_once(20ms));
    }
    return false;
}

TEST_CASE("a call that changes what cannot be kept is refused and changes nothing")
{
    const auto is_resumed = GENERATE(false, true);
    const auto [method, parameters] = GENERATE(table<std::string, std::string>({
        {"CreateEvent", R"({"name":"new"})"},
        {"CreateEvent", R"({"name":"new","lifetime":"connection"})"},
        {"Arm", R"({"name":"new","afterNSec":1000000000})"},
        {"Arm", R"({"name":"t","afterNSec":1000000000})"},
        {"Disarm", R"({"names":["t"]})"},
        {"Set", R"({"names":["s"]})"},
        {"Set", R"({"names":["s","p"],"count":3})"},
        {"Clear", R"({"names":["s"]})"},
        {"Wait", R"({"names":["s"]})"},
        {"Wait", R"({"names":["s"],"hold":true})"},
        {"Wait", R"({"names":["m","s"]})"},
        {"Delete", R"({"names":["s"]})"},
        {"SetRights", R"({"name":"s","rights":"0600"})"},
        {"Open", R"({"names":["p"]})"},
    }));
    CAPTURE(method, parameters, is_resumed);
    auto daemon = std::make_unique<Daemon>();
    auto client = daemon->connect();
    if (is_resumed)
        daemon->ask(client, "Resume",
                    R"({"session":"00112233445566778899aabbccddeeff","calls":0})");
    daemon->ask(client, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":2})");
    daemon->ask(client, "CreateEvent", R"({"name":"m","initial":1})");
    daemon->ask(client, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon->ask(client, "Arm", R"({"name":"t","afterNSec":3600000000000})");
    const auto shown = [&] {
        return daemon->ask(client, "Show", R"({"name":"s"})") +
               daemon->ask(client, "Show", R"({"name":"p"})") +
               daemon->ask(client, "ListObjects", R"({"pattern":"new"})", true);
    };
    const auto before = shown();
    {
        const Shortage shortage{daemon->vault, daemon->service.new_session_id()};
        const auto reply = daemon->ask(client, method, parameters);
        CHECK(reply.contains("io.evfdd.SystemFailure"));
        CHECK(reply.contains("fallocate(2)"));
        CHECK(shown() == before);
        CHECK(daemon->ask(client, "Status").contains(R"("canKeep":false)"));
    }
    CHECK(shown() == before);
    CHECK_FALSE(daemon->ask(client, method, parameters).contains("error"));
    CHECK(daemon->ask(client, "Status").contains(R"("canKeep":true)"));
}

TEST_CASE("however often something is refused, that takes no room in the journal")
{
    auto daemon = std::make_unique<Daemon>();
    auto client = daemon->connect();
    daemon->ask(client, "Resume", R"({"session":"00112233445566778899aabbccddeeff","calls":0})");
    daemon->ask(client, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":1})");
    {
        const Shortage shortage{daemon->vault, daemon->service.new_session_id()};
        const auto bytes = daemon->vault.journal_bytes();
        for (int i = 0; i < 20; ++i) {
            CHECK(daemon->ask(client, "Set", R"({"names":["s"]})").contains("SystemFailure"));
            CHECK(daemon->ask(client, "Wait", R"({"names":["s"]})").contains("SystemFailure"));
        }
        CHECK(daemon->vault.journal_bytes() == bytes);
    }
    CHECK_FALSE(daemon->ask(client, "Set", R"({"names":["s"]})").contains("error"));
    daemon = restarted(std::move(daemon));
    auto again = daemon->connect();
    CHECK(
        daemon->ask(again, "Resume", R"({"session":"00112233445566778899aabbccddeeff","calls":42})")
            .contains(R"("isCertain":true)"));
}

TEST_CASE("a set of many tokens that has begun goes on once the rest can be kept")
{
    auto daemon = std::make_unique<Daemon>();
    auto client = daemon->connect();
    daemon->ask(client, "CreateEvent", R"({"name":"s","mode":"semaphore"})");
    daemon->ask(client, "Open", R"({"names":["s"]})"); // So they are added one by one.
    const auto& event = *daemon->service.registry().find("s"_name)->event();
    const auto are_all_added = [&] {
        return *event.count() == static_cast<std::uint64_t>(max_tokens_per_set);
    };
    // A machine may be so fast that all are added in one turn; not each time.
    bool is_halfway = false;
    for (int i = 0; !is_halfway && i < 100; ++i) {
        daemon->ask(client, "Clear", R"({"names":["s"]})");
        client.call("Set", fmt::format(R"({{"names":["s"],"count":{}}})", max_tokens_per_set));
        REQUIRE(turns_until(daemon->loop, [&] { return event.is_set(); }));
        is_halfway = !are_all_added();
        if (!is_halfway)
            REQUIRE(turns_until(daemon->loop, [&] { return !client.reply().empty(); }));
    }
    REQUIRE(is_halfway);
    {
        Shortage shortage{daemon->vault, daemon->service.new_session_id()};
        shortage.leave_no_room();
        settle(daemon->loop);
        CHECK(client.reply().empty());
        CHECK_FALSE(are_all_added());
    }
    CHECK(turns_until(daemon->loop, are_all_added));
}

TEST_CASE("a wait that takes nothing goes on while nothing can be kept")
{
    Daemon daemon;
    auto client = daemon.connect();
    daemon.ask(client, "CreateEvent", R"({"name":"m","initial":1})");
    const Shortage shortage{daemon.vault, daemon.service.new_session_id()};
    CHECK(daemon.ask(client, "Wait", R"({"names":["m"]})").contains("fired"));
}

TEST_CASE("an answer waits until what it tells of is certain, and others are answered meanwhile")
{
    auto daemon = std::make_unique<Daemon>();
    auto client = daemon->connect();
    auto other = daemon->connect();
    daemon->ask(client, "Resume", R"({"session":"00112233445566778899aabbccddeeff","calls":0})");
    daemon->ask(client, "CreateEvent", R"({"name":"m"})");
    daemon->ask(client, "Open", R"({"names":["m"]})");
    client.call("Wait", R"({"names":["m"]})");
    settle(daemon->loop);
    REQUIRE(client.descriptors.size() == 1);
    {
        Shortage shortage{daemon->vault, daemon->service.new_session_id()};
        shortage.leave_no_room();
        REQUIRE(add(client.descriptors.front(), 1));
        settle(daemon->loop);
        CHECK(client.reply().empty()); // That the call is done is not certain.
        CHECK(daemon->ask(other, "Status").contains(R"("canKeep":false)"));
        CHECK(client.reply().empty());
    }
    std::string reply;
    CHECK(turns_until(daemon->loop, [&] { return !(reply = client.reply()).empty(); }));
    CHECK(reply.contains("fired"));
}

TEST_CASE("tokens that a call does not add, because that is not certain, are never added")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore);
    hall->create("p", Mode::pulse);
    const auto follower = follow(*hall, "p");
    hall->registry.count_call(hall->owner, {});
    hall->vault.commit();
    {
        Shortage shortage{hall->vault, hall->registry.new_id()};
        shortage.leave_no_room();
        const auto done = hall->registry.set(hall->owner.peer, names({"s", "p"}), 5);
        CHECK(verdict(done) == "SystemFailure");
    }
    CHECK(object(*hall, "p").pulse()->pulses() == 0);
    REQUIRE(hall->vault.commit()); // With the plan.
    for (int i = 0; i < 2; ++i) {
        CHECK(tokens(*hall, "s") == 0);
        CHECK(count(follower.fd) == 0U);
        hall = restarted(std::move(hall));
    }
}

TEST_CASE("what is to go back while nothing can be kept goes back once, later or after a restart")
{
    const auto is_killed = GENERATE(false, true);
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 3);
    auto wait = hall->waits.start(hall->owner.peer, *hall->quota.take(alice, Resource::waits),
                                  {.names = names({"s"})}, [] {});
    REQUIRE(wait);
    hall->vault.commit();
    {
        const Shortage shortage{hall->vault, hall->registry.new_id()};
        (*wait)->undo();
        CHECK(tokens(*hall, "s") == 2);
        if (is_killed) { // It dies with all else.
            static const Wait* dead = nullptr;
            dead = wait->release();
            REQUIRE(dead);
        }
    }
    if (is_killed)
        hall = restarted(std::move(hall));
    CHECK(turns_until(hall->loop, [&] { return tokens(*hall, "s") == 3; }));
    settle(hall->loop);
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 3);
}

TEST_CASE("what is to go back is not forgotten with what is committed before")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore, 1);
    {
        const Shortage shortage{hall->vault, hall->registry.new_id()};
        const auto serial = object(*hall, "s").serial;
        REQUIRE(hall->event("s").take(hall->vault.taking(serial)) == true);
        const Takings takings{.taken = {{"s"_name, serial}}};
        hall->registry.put_back(std::span{&takings, 1});
        hall->vault.put(serial, record::Progress{{}, 0, 0});
        REQUIRE(hall->vault.commit()); // For so little there is room.
        CHECK(tokens(*hall, "s") == 0);
    }
    hall = restarted(std::move(hall));
    CHECK(tokens(*hall, "s") == 1);
}

TEST_CASE("what a timer sets while nothing can be kept is set later")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore);
    arm(*hall, {.name = "t"_name, .after = 1ms, .sets = "s"_name});
    {
        const Shortage shortage{hall->vault, hall->registry.new_id()};
        auto& timer = *object(*hall, "t").timer();
        REQUIRE(turns_until(hall->loop, [&] { return timer.link()->owed == 1; }));
        CHECK(tokens(*hall, "s") == 0);
    }
    CHECK(turns_until(hall->loop, [&] { return tokens(*hall, "s") == 1; }));
}

} // namespace
} // namespace evfd::daemon
