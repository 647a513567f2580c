// Tests the ids of objects. No id is given twice, and a call with an id acts on no object with
// another id.
#include "tests/support/recovery_fixture.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string>

namespace evfd::daemon {
namespace {

std::int64_t id_in(const std::string& reply)
{
    constexpr std::string_view key = R"("id":)";
    const auto at = reply.find(key);
    INFO(reply);
    REQUIRE(at != std::string::npos);
    return std::stoll(reply.substr(at + key.size()));
}

Items<protocol::Item> with_id(std::string_view name, protocol::ObjectId id)
{
    return {{{*Name::parse(name), id}}};
}

Items<protocol::SetItem> to_set(std::string_view name, protocol::ObjectId id)
{
    return {{{.name = *Name::parse(name), .id = id}}};
}

TEST_CASE("an object that is deleted leaves its id to none, across kills of the daemon")
{
    auto fixture = new_fixture();
    std::set<std::uint64_t> given;
    for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 3; ++i) {
            fixture->create("again", i == 0 ? Mode::pulse : Mode::semaphore);
            CHECK(given.insert(object(*fixture, "again").serial).second);
            REQUIRE(fixture->registry.delete_objects(fixture->owner.peer, names({"again"})));
        }
        fixture = commit_crash_and_restart(std::move(fixture));
        CHECK(fixture->recovered.warnings.empty());
    }
    CHECK(given.size() == 15);
}

TEST_CASE("an object keeps its id when the daemon is killed")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::manual);
    arm(*fixture, {.name = "t"_name, .after = 1h});
    const auto event = id_of(object(*fixture, "e"));
    const auto timer = id_of(object(*fixture, "t"));

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(id_of(object(*fixture, "e")) == event);
    CHECK(id_of(object(*fixture, "t")) == timer);
}

TEST_CASE("ids go on behind those of a whole batch, across a kill")
{
    auto fixture = new_fixture();
    std::uint64_t last = 0;
    for (int i = 0; i < 10'000; ++i)
        last = fixture->registry.ids.next();

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK(fixture->registry.ids.next() > last);
}

TEST_CASE("ids are reserved long before they are used, so a failed commit repeats none")
{
    auto fixture = new_fixture();
    std::uint64_t last = 0;
    for (int i = 0; i < 3'000; ++i)
        last = fixture->registry.ids.next();
    fixture->state_store.commit();
    // Each record reserves some ids. The test uses 5000 ids, so that one record is not enough.
    for (int i = 0; i < 2'000; ++i)
        last = fixture->registry.ids.next();

    // The daemon crashes before another commit.
    fixture = crash_and_restart(std::move(fixture));

    CHECK(fixture->registry.ids.next() > last);
}

TEST_CASE("ids that a lost commit reserved are not given again, by any later daemon")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::pulse);
    fixture->state_store.commit();
    std::uint64_t last = 0;
    for (int i = 0; i < 10'000; ++i)
        last = fixture->registry.ids.next();
    fixture->state_store.commit();
    constexpr std::size_t header = 4096;
    const auto end = header + fixture->state_store.journal_bytes();
    auto stored = crash(std::move(fixture));
    REQUIRE(::pwrite(stored[2].get(), "xxx", 3, static_cast<off_t>(end - 8)) == 3);

    fixture = std::make_unique<RegistryFixture>(std::move(stored));

    CHECK(fixture->recovered.warnings ==
          std::vector<std::string>{"the end of the journal is damaged: its last commits are lost"});
    CHECK(fixture->registry.objects.find("e"_name));
    CHECK(fixture->registry.ids.next() > last);
    // This daemon is killed before it commits anything except its recovery.
    fixture = crash_and_restart(std::move(fixture));
    CHECK(fixture->recovered.warnings.empty());
    CHECK(fixture->registry.ids.next() > last);
}

TEST_CASE("a journal without a readable record of reserved ids begins its ids at the time")
{
    const auto reserved = GENERATE(std::int64_t{0}, std::int64_t{max_object_id} + 1);
    using std::chrono::microseconds;
    const auto before = wall_now().time_since_epoch();
    auto fixture = new_fixture();
    fixture->create("e", Mode::pulse);
    fixture->state_store.put(0, record::Ids{reserved});

    fixture = commit_crash_and_restart(std::move(fixture));

    const microseconds next{fixture->registry.ids.next()};
    CHECK(next >= std::chrono::duration_cast<microseconds>(before));
}

TEST_CASE("a daemon without an earlier one's journal begins its ids at the time of its start")
{
    using std::chrono::microseconds;
    const auto before = wall_now().time_since_epoch();
    RegistryFixture fixture{StateStore::Descriptors{}};
    const microseconds first{fixture.registry.ids.next()};
    CHECK(first >= std::chrono::duration_cast<microseconds>(before));
    CHECK(first.count() < max_object_id / 4); // At least three quarters of the ids are left.
}

TEST_CASE("an object with an id that no daemon assigns is dropped and logged, and others are kept")
{
    static constexpr std::uint64_t end = std::uint64_t{max_object_id} + 1;
    const auto id = GENERATE(std::uint64_t{end}, end + 1, 2 * end, std::uint64_t{UINT64_MAX});
    const auto mode = GENERATE(Mode::pulse, Mode::semaphore);
    CAPTURE(id);
    auto fixture = new_fixture();
    fixture->create("kept", Mode::pulse);
    std::optional<Result<FdStash::Stored>> eventfd;
    if (mode != Mode::pulse)
        eventfd = fixture->state_store.store_fd(id, *make_eventfd(5, Counter::semaphore));
    REQUIRE((!eventfd || *eventfd));
    fixture->state_store.put(id, event_record("e", mode));

    fixture = commit_crash_and_restart(std::move(fixture));

    CHECK_FALSE(fixture->registry.objects.find("e"_name));
    CHECK(fixture->registry.objects.find("kept"_name));
    CHECK(fixture->state_store.stored_fds() == 0);
    // The second warning names the id after which new ids continue.
    REQUIRE(fixture->recovered.warnings.size() == 2);
    CHECK(fixture->recovered.warnings[0] ==
          "event 'e' of uid 2001 is lost: no daemon assigns its id");
    fixture = commit_crash_and_restart(std::move(fixture));
    // The stash contains the damaged id until a compaction drops it. Until then, each daemon can
    // repeat the warning about new ids.
    CHECK(std::ranges::none_of(fixture->recovered.warnings,
                               [](const auto& warning) { return warning.contains("is lost"); }));
}

TEST_CASE("an object with the highest id of all is kept")
{
    auto fixture = new_fixture();
    fixture->state_store.put(std::uint64_t{max_object_id}, event_record("e", Mode::pulse));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(id_of(object(*fixture, "e")).value == max_object_id);
}

TEST_CASE("a call with the id of a deleted object is refused, and tells the id of the new one")
{
    auto fixture = new_fixture();
    auto& registry = fixture->registry;
    const auto& peer = fixture->owner.peer;
    fixture->create("e", Mode::semaphore);
    const auto old = id_of(object(*fixture, "e"));
    REQUIRE(registry.set(peer, to_set("e", old)));
    REQUIRE(registry.open(fixture->owner, with_id("e", old)));
    REQUIRE(registry.clear(peer, with_id("e", old)));
    REQUIRE(registry.delete_objects(peer, with_id("e", old)));
    CHECK(verdict(registry.set(peer, to_set("e", old))) == "NoSuchName");
    fixture->create("e", Mode::semaphore, 3);

    const auto refused = registry.set(peer, to_set("e", old));
    CHECK(verdict(refused) == "Replaced");
    CHECK(verdict(registry.open(fixture->owner, with_id("e", old))) == "Replaced");
    CHECK(verdict(registry.clear(peer, with_id("e", old))) == "Replaced");
    CHECK(verdict(registry.delete_objects(peer, with_id("e", old))) == "Replaced");
    CHECK(tokens(*fixture, "e") == 3);

    const auto& reason = std::get<protocol::Replaced>(refused.error().reason());
    CHECK(reason.name == "e"_name);
    CHECK(reason.id == id_of(object(*fixture, "e")));
    CHECK(registry.set(peer, to_set("e", reason.id)));
    CHECK(tokens(*fixture, "e") == 4);
}

TEST_CASE("a timer is armed and disarmed by its id alone, and not created by it")
{
    auto fixture = new_fixture();
    auto& registry = fixture->registry;
    arm(*fixture, {.name = "t"_name, .after = 1h});
    const auto old = id_of(object(*fixture, "t"));
    const protocol::Arm request{.name = "t"_name, .after = 2h, .id = old};
    CHECK(verdict(registry.arm(fixture->owner, request)) == "ok");
    CHECK(verdict(registry.disarm(fixture->owner.peer, with_id("t", old))) == "ok");
    REQUIRE(registry.delete_objects(fixture->owner.peer, names({"t"})));

    CHECK(verdict(registry.arm(fixture->owner, request)) == "NoSuchName");
    CHECK_FALSE(registry.objects.find("t"_name));
    arm(*fixture, {.name = "t"_name, .after = 3h});
    CHECK(verdict(registry.arm(fixture->owner, request)) == "Replaced");
    CHECK(verdict(registry.disarm(fixture->owner.peer, with_id("t", old))) == "Replaced");
    CHECK(object(*fixture, "t").timer()->is_armed());

    REQUIRE(registry.delete_objects(fixture->owner.peer, names({"t"})));
    // The name now belongs to an event. The error for the id of the old timer is still Replaced.
    fixture->create("t", Mode::manual);
    CHECK(verdict(registry.arm(fixture->owner, request)) == "Replaced");
}

TEST_CASE("an id does not tell a caller without permissions whether it is right")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::manual);
    REQUIRE(fixture->registry.set_permissions(fixture->owner.peer, "e"_name, "0600"_permissions));
    const auto right = id_of(object(*fixture, "e"));
    const protocol::ObjectId wrong{right.value + 1};
    Session other{fixture->registry.ids.next(), make_peer(bob), {}, {}};
    for (const auto id : {right, wrong}) {
        CHECK(verdict(fixture->registry.set(other.peer, to_set("e", id))) == "NotPermitted");
        CHECK(verdict(fixture->registry.clear(other.peer, with_id("e", id))) == "NotPermitted");
        CHECK(verdict(fixture->registry.open(other, with_id("e", id))) == "NotPermitted");
        CHECK(verdict(fixture->registry.delete_objects(other.peer, with_id("e", id))) ==
              "NotPermitted");
    }
}

TEST_CASE("every reply about an object has its id")
{
    ServiceFixture daemon;
    auto client = daemon.connect(alice);
    const auto event = id_in(daemon.request(client, "CreateEvent", R"({"name":"e"})"));
    const auto timer = id_in(daemon.request(client, "Arm", R"({"name":"t","firstNSec":1})"));
    CHECK(event != timer);
    const auto again = R"({"name":"e","ifMissing":true})";
    CHECK(id_in(daemon.request(client, "CreateEvent", again)) == event);
    CHECK(id_in(daemon.request(client, "Arm", R"({"name":"t","firstNSec":1})")) == timer);
    CHECK(id_in(daemon.request(client, "Show", R"({"name":"e"})")) == event);
    CHECK(id_in(daemon.request(client, "Open", R"({"items":[{"name":"t"}]})")) == timer);
    daemon.request(client, "Set", R"({"items":[{"name":"e"}]})");
    CHECK(daemon.request(client, "Wait", R"({"items":[{"name":"t"},{"name":"e"}]})") ==
          fmt::format(R"({{"parameters":{{"fired":[{{"name":"t","count":1,"index":0,"id":{}}},)"
                      R"({{"name":"e","count":1,"index":1,"id":{}}}]}}}})",
                      timer, event));
    CHECK(
        daemon.request(client, "Wait",
                       R"({"items":[{"name":"x"},{"name":"e"}],"require":"any"})") ==
        fmt::format(R"({{"parameters":{{"fired":[{{"name":"e","count":1,"index":1,"id":{}}}]}}}})",
                    event));
}

} // namespace
} // namespace evfd::daemon
