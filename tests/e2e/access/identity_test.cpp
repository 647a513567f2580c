// Tests of the object ids that the real daemon gives, also after it is killed.
#include "tests/support/daemon_process.h"

#include <set>
#include <stop_token>
#include <thread>

namespace evfd::e2e {
namespace {

std::int64_t id_of(const Json& reply)
{
    INFO(reply.dump());
    REQUIRE(reply.contains("parameters"));
    return reply["parameters"]["id"];
}

TEST_CASE("no id is given twice if the daemon is killed and names are created again")
{
    const SupervisedDaemon supervised;
    std::set<std::int64_t> ids;
    std::int64_t last = 0;
    for (int kills = 0; kills < 10; ++kills) {
        WireClient wire{supervised.path()};
        for (const auto* mode : {"manual", "semaphore", "pulse"}) {
            const auto id = id_of(wire.request("CreateEvent", {{"name", "again"}, {"mode", mode}}));
            CHECK(ids.insert(id).second);
            CHECK(id > last);
            last = id;
            REQUIRE_FALSE(wire.request("Delete", {{"items", items({"again"}, {{"id", id}})}})
                              .contains("error"));
        }
        // This timer ends with its session, so the daemon does not write it to the journal.
        const auto id = id_of(wire.request(
            "Arm", {{"name", "brief"}, {"afterNSec", 3'600'000'000'000}, {"lifetime", "session"}}));
        CHECK(ids.insert(id).second);
        CHECK(id > last);
        last = id;
        supervised.kill_daemon();
    }
    CHECK(ids.size() == 40);
}

TEST_CASE("no id is given twice if the daemon is killed while clients create and delete")
{
    const SupervisedDaemon supervised;
    constexpr int clients = 3;
    std::vector<std::vector<std::int64_t>> ids_of_clients(clients);
    // The destructor of each std::jthread asks the thread to stop and joins it.
    std::vector<std::jthread> threads;
    for (int i = 0; i < clients; ++i)
        threads.emplace_back([&, i](const std::stop_token& stop) {
            const auto client = supervised.client();
            const std::vector name{"busy/" + std::to_string(i)};
            while (!stop.stop_requested()) {
                const auto created = client.create(name.front(), {.mode = Mode::automatic});
                if (created && created->created)
                    ids_of_clients[static_cast<std::size_t>(i)].push_back(created->id);
                (void)client.delete_object(name);
            }
        });
    for (int kills = 0; kills < 10; ++kills) {
        value_or_throw(supervised.client().status());
        supervised.await_daemon_after(supervised.kill_daemon());
    }
    threads.clear();
    std::set<std::int64_t> all_ids;
    std::size_t count = 0;
    for (const auto& ids : ids_of_clients) {
        CHECK_FALSE(ids.empty());
        count += ids.size();
        all_ids.insert(ids.begin(), ids.end());
    }
    CHECK(all_ids.size() == count);
}

TEST_CASE("an operation on a replaced object is refused with the new id and a hint")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto old = id_of(wire.request("CreateEvent", {{"name", "e"}}));
    REQUIRE_FALSE(wire.request("Delete", {{"items", items({"e"})}}).contains("error"));
    const auto id = id_of(wire.request("CreateEvent", {{"name", "e"}}));

    const auto refused = wire.request("Set", {{"items", items({"e"}, {{"id", old}})}});

    CHECK(refused["error"] == "io.evfdd.Replaced");
    CHECK(refused["parameters"]["name"] == "e");
    CHECK(refused["parameters"]["id"] == id);
    CHECK(refused["parameters"]["message"].get<std::string>().contains("open it again"));
}

} // namespace
} // namespace evfd::e2e
