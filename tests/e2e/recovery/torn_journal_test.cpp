// Tests of a daemon that is killed in the middle of a commit. No reply depended on that commit, so
// no client loses anything. The tests of the C library and of the Python package check this case
// too.
#include "tests/support/daemon_process.h"
#include "tests/support/torn_journal.h"

namespace evfd::e2e {
namespace {

class InterruptedCommit {
public:
    // Kills the daemon in the middle of a commit, and waits until the sessions have been resumed.
    // `idle` is the number of sessions that are not resumed, because they make no call.
    void kill_in_commit(std::int64_t idle) const
    {
        daemon.stop_daemon();
        begin_next_commit(daemon.pid());
        daemon.kill_daemon();
        REQUIRE(poll_until(
            [&] { return value_or_throw(daemon.client().status()).orphaned_sessions == idle; }));
        CHECK(daemon.log().contains("belong to an incomplete commit"));
    }

    SupervisedDaemon daemon;
};

TEST_CASE("a kill in the middle of a commit loses nothing of a client of the C++ library")
{
    const InterruptedCommit interrupted;
    const auto client = interrupted.daemon.client();
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore, .initial = 1}));
    REQUIRE(client.create("beat", {.mode = Mode::pulse}));
    REQUIRE(client.create("mine", {.lifetime = Lifetime::session}));
    const auto hold = value_or_throw(client.hold("jobs"));
    const auto beat = value_or_throw(client.open("beat"));
    // "mine" is a manual event, so this open creates no subscription, and the daemon writes nothing
    // to the journal.
    const auto mine = value_or_throw(client.open("mine"));

    // The client used a second session for hold(), and does not resume that session. The hold
    // continues, because the hold belongs to the process and not to the session.
    interrupted.kill_in_commit(1);

    CHECK(value_or_throw(client.show("jobs")).count == 0);
    CHECK(client.show("mine"));
    interrupted.daemon.checked_ctl({"set", "beat", "--count", "2"});
    CHECK(value_or_throw(beat.wait(default_timeout)) == 2);
}

TEST_CASE("a kill in the middle of a commit loses nothing of a client without a library")
{
    const InterruptedCommit interrupted;
    const Json session = "00112233445566778899aabbccddeeff";
    WireClient wire{interrupted.daemon.path()};
    wire.request("Resume", {{"session", session}, {"sequence", 0}});
    wire.request("CreateEvent", {{"name", "jobs"}, {"mode", "semaphore"}, {"initial", 1}});
    wire.request("CreateEvent", {{"name", "beat"}, {"mode", "pulse"}});
    wire.request("CreateEvent", {{"name", "mine"}, {"lifetime", "session"}});
    wire.request("Open", {{"items", items({"beat"})}});
    wire.request("Wait", {{"items", items({"jobs"})}, {"hold", "session"}});
    wire.request("Open", {{"items", items({"mine"})}});
    REQUIRE(wire.descriptors().size() == 2);

    interrupted.daemon.stop_daemon();
    begin_next_commit(interrupted.daemon.pid());
    interrupted.daemon.kill_daemon();
    WireClient again{interrupted.daemon.path()};
    const auto resumed = again.request("Resume", {{"session", session}, {"sequence", 6}});

    CHECK(resumed["parameters"]["isHistoryComplete"] == true);
    CHECK(again.request("Show", {{"name", "jobs"}})["parameters"]["object"]["count"] == 0);
    CHECK(again.request("Show", {{"name", "mine"}}).contains("parameters"));
    again.request("Set", {{"items", items({"beat"})}});
    CHECK(await_readable(wire.descriptors().front().get()));
}

} // namespace
} // namespace evfd::e2e
