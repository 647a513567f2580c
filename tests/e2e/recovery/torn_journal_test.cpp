// A daemon that is killed in the midst of a commit: nobody was answered by that, so it costs nobody
// anything, whatever a client did last. c_life_test and the Python tests have the same.
#include "tests/support/daemon_process.h"
#include "tests/support/torn_journal.h"

namespace evfd::e2e {
namespace {

class Torn {
public:
    // Returns when all sessions but so many are back.
    void kill_in_commit(std::int64_t idle) const
    {
        guarded.stop_daemon();
        begin_next_commit(guarded.pid());
        guarded.kill_daemon();
        REQUIRE(
            eventually([&] { return must(guarded.client().status()).waits_for_sessions == idle; }));
        CHECK(guarded.log().contains("are of a commit that did not get through"));
    }

    Guarded guarded;
};

TEST_CASE("a kill in the midst of a commit costs a client of the C++ library nothing")
{
    const Torn torn;
    const auto client = torn.guarded.client();
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore, .initial = 1}));
    REQUIRE(client.create("beat", {.mode = Mode::pulse}));
    REQUIRE(client.create("mine", {.lifetime = Lifetime::connection}));
    const auto hold = must(client.hold("jobs"));
    const auto beat = must(client.open("beat"));
    const auto mine = must(client.open("mine")); // The daemon need not know of that.

    torn.kill_in_commit(1); // The hold's, which is the process's and not the session's.

    CHECK(must(client.show("jobs")).count == 0);
    CHECK(client.show("mine"));
    torn.guarded.done({"set", "beat", "--count", "2"});
    CHECK(must(beat.wait(patience)) == 2);
}

TEST_CASE("a kill in the midst of a commit costs a client without a library nothing")
{
    const Torn torn;
    const Json session = "00112233445566778899aabbccddeeff";
    Wire wire{torn.guarded.path()};
    wire.ask("Resume", {{"session", session}, {"calls", 0}});
    wire.ask("CreateEvent", {{"name", "jobs"}, {"mode", "semaphore"}, {"initial", 1}});
    wire.ask("CreateEvent", {{"name", "beat"}, {"mode", "pulse"}});
    wire.ask("CreateEvent", {{"name", "mine"}, {"lifetime", "connection"}});
    wire.ask("Open", {{"names", {"beat"}}});
    wire.ask("Wait", {{"names", {"jobs"}}, {"hold", true}});
    wire.ask("Open", {{"names", {"mine"}}});
    REQUIRE(wire.descriptors().size() == 2);

    torn.guarded.stop_daemon();
    begin_next_commit(torn.guarded.pid());
    torn.guarded.kill_daemon();
    Wire again{torn.guarded.path()};
    const auto resumed = again.ask("Resume", {{"session", session}, {"calls", 6}});

    CHECK(resumed["parameters"]["isCertain"] == true);
    CHECK(again.ask("Show", {{"name", "jobs"}})["parameters"]["object"]["count"] == 0);
    CHECK(again.ask("Show", {{"name", "mine"}}).contains("parameters"));
    again.ask("Set", {{"names", {"beat"}}});
    CHECK(await_readable(wire.descriptors().front().get()));
}

} // namespace
} // namespace evfd::e2e
