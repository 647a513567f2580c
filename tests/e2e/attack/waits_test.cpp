// Tests of attacks by clients with many pending waits.
#include "common/eventfd.h"
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>

namespace evfd::e2e {
namespace {

TEST_CASE("many waits for all of many names delay nobody when one name is busy")
{
    skip_unless_root();
    const DaemonProcess daemon;
    constexpr int events = 253;
    // The quota of a user is 8,192 waits, and a wait for several names counts once for each name.
    constexpr int waits = 8'192 / events;
    struct Case {
        std::string what;
        // The number of events that the attacker sets and clears in turn. All other events are set,
        // except the last one.
        int toggled;
        bool is_last_toggled;
    };
    const auto c = GENERATE(values<Case>({
        {"all the waits for all of 253 names, one of them busy", 1, false},
        {"all the waits for all of 253 names, with another one missing each time", 2, true},
    }));
    Json names = Json::array();
    for (int i = 0; i < events; ++i)
        names.push_back("all/" + std::to_string(i));
    const Json last{names.back()};

    check_withstands(daemon, c.what, [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            WireClient wire{daemon.path()};
            for (const auto& name : names)
                wire.call("CreateEvent", {{"name", name}, {"mode", "auto"}});
            for (int i = 0; i < events; ++i)
                require(!wire.reply().contains("error"), "the create failed");
            require(!wire.request("Open", {{"items", items(names)}}).contains("error"),
                    "the open failed");
            const auto& opened = wire.descriptors();
            require(opened.size() == names.size(), "the open did not return all descriptors");

            std::vector<WireClient> waiting;
            for (int i = 0; i < waits; ++i) {
                waiting.emplace_back(daemon.path());
                waiting.back().call("Wait", {{"items", items(names)}, {"require", "all"}});
            }
            const auto how_many = [&] {
                return wire
                    .request("Show", {{"name", names.back()}})["parameters"]["object"]["waits"]
                    .get<int>();
            };
            require(poll_until([&] { return how_many() == waits; }), "not all wait");
            for (int i = 0; i < events - 1; ++i)
                value_or_throw(add(opened[static_cast<std::size_t>(i)], 1));
            const auto& one = opened.front();
            const auto& other = c.is_last_toggled ? opened.back() : opened.front();
            std::uint64_t rounds = 0;
            const auto end = monotonic_deadline(is_sanitized ? 400ms : 1s);
            for (; monotonic_now() < end; ++rounds) {
                value_or_throw(take(one));
                value_or_throw(add(other, 1));
                // take() and add() read and write eventfds without a call to the daemon. The call
                // how_many() makes the daemon handle the resulting edges, one edge after the other.
                how_many();
                value_or_throw(take(other));
                value_or_throw(add(one, 1));
                how_many();
            }
            require(how_many() == waits, "a wait ended without all of its names");
            parent.send(rounds);
            require(!wire.request("Delete", {{"items", items(names)}}).contains("error"),
                    "the delete failed");
            for (auto& each : waiting)
                require(each.reply()["error"] == "io.evfdd.Deleted",
                        "a wait continues after the delete");
        });
        report(fmt::format("  {} waits, {} times set and cleared", waits, worker.receive()));
        CHECK(worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
