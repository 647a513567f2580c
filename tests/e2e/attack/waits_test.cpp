// Attacks by those who wait for much.
#include "common/eventfd.h"
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>

namespace evfd::e2e {
namespace {

TEST_CASE("many waits for all of many names of which one is busy hold nobody up")
{
    skip_unless_root();
    const Daemon daemon;
    constexpr int events = 253;
    constexpr int waits = 8'192 / events; // As many as a user may have.
    struct Case {
        std::string what;
        int toggled; // So many of them are set and cleared in turn; all others are set but the
                     // last.
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

    withstand(daemon, c.what, [&] {
        Worker worker = hostile([&](const Line& line) {
            Wire wire{daemon.path()};
            for (const auto& name : names)
                wire.call("CreateEvent", {{"name", name}, {"mode", "auto"}});
            for (int i = 0; i < events; ++i)
                require(!wire.reply().contains("error"), "not created");
            require(!wire.ask("Open", {{"names", names}}).contains("error"), "not opened");
            const auto& opened = wire.descriptors();
            require(opened.size() == names.size(), "not all opened");

            std::vector<Wire> waiting;
            for (int i = 0; i < waits; ++i) {
                waiting.emplace_back(daemon.path());
                waiting.back().call("Wait", {{"names", names}, {"gather", "all"}});
            }
            const auto how_many = [&] {
                return wire.ask("Show", {{"name", names.back()}})["parameters"]["object"]["waits"]
                    .get<int>();
            };
            require(eventually([&] { return how_many() == waits; }), "not all wait");
            for (int i = 0; i < events - 1; ++i)
                must(add(opened[static_cast<std::size_t>(i)], 1));
            const auto& one = opened.front();
            const auto& other = c.is_last_toggled ? opened.back() : opened.front();
            std::uint64_t rounds = 0;
            const auto end = monotonic_after(is_sanitized ? 400ms : 1s);
            for (; monotonic_now() < end; ++rounds) {
                must(take(one));
                must(add(other, 1));
                how_many(); // So that both are told of, one after the other.
                must(take(other));
                must(add(one, 1));
                how_many();
            }
            require(how_many() == waits, "a wait ended without all of its names");
            line.say(rounds);
            require(!wire.ask("Delete", {{"names", names}}).contains("error"), "not deleted");
            for (auto& each : waiting)
                require(each.reply()["error"] == "io.evfdd.Deleted", "a wait went on");
        });
        tell(fmt::format("  {} waits, {} times set and cleared", waits, worker.hear()));
        CHECK(worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
