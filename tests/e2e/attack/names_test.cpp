// Tests of names that are created and deleted again and again, while an attacker holds the
// descriptors of the deleted objects.
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <deque>

namespace evfd::e2e {
namespace {

constexpr std::size_t max_held = 500;

std::string error_of(const Json& reply)
{
    return reply.value("error", "none");
}

bool is_set(WireClient& wire, const std::string& name)
{
    return wire.request("Show", {{"name", name}})["parameters"]["object"]["isSet"].get<bool>();
}

void write_to_all(const std::deque<UniqueFd>& held)
{
    for (const auto& fd : held)
        if (::eventfd_write(fd.get(), 1) < 0)
            fail("eventfd_write(3)");
}

TEST_CASE("old descriptors of a deleted event do not reach a new event with the same name")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto [what, mode] = GENERATE(table<std::string, std::string>({
        {"manual", "manual"},
        {"auto", "auto"},
        {"semaphore", "semaphore"},
    }));
    check_withstands(
        daemon, what + " events deleted and created again, with their descriptors held", [&] {
            Worker worker = start_attacker([&](const WorkerSocket& parent) {
                WireClient wire{daemon.path()};
                WireClient waiting{daemon.path()};
                std::deque<UniqueFd> held;
                std::uint64_t rounds = 0;
                const auto end = monotonic_deadline(is_sanitized ? 400ms : 1s);
                for (; monotonic_now() < end; ++rounds) {
                    require(error_of(wire.request("CreateEvent",
                                                  {{"name", "reborn"}, {"mode", mode}})) == "none",
                            "the create failed");
                    // A pending wait makes the daemon watch the event. The attacker deletes the
                    // event while it is watched.
                    waiting.call("Wait", {{"items", items({"reborn"})}});
                    wire.request("Open", {{"items", items({"reborn"})}});
                    // The descriptors in `held` belong to deleted events. A write to them must not
                    // affect the new event, although the deleted events had its name.
                    if (rounds % 100 == 99)
                        write_to_all(held);
                    else if (!held.empty())
                        require(::eventfd_write(held.back().get(), 1) == 0, "the write failed");
                    require(!is_set(wire, "reborn"), "set by a descriptor of an earlier event");
                    require(!await_readable(waiting.socket().get(), 0ns),
                            "woken by an earlier event");
                    held.push_back(std::move(wire.descriptors().front()));
                    wire.descriptors().pop_front();
                    if (held.size() > max_held)
                        held.pop_front();
                    // The daemon can read this Delete call before it reads the Wait call. The wait
                    // is then for the next event with this name.
                    require(error_of(wire.request("Delete", {{"items", items({"reborn"})}})) ==
                                "none",
                            "the delete failed");
                    if (wire.request("Status")["parameters"]["waits"] == 1) {
                        // The wait is still pending if the daemon read the Delete call before the
                        // Wait call. A new event that is set ends the wait.
                        wire.request("CreateEvent",
                                     {{"name", "reborn"}, {"mode", mode}, {"initial", 1}});
                        const auto ended = error_of(waiting.reply());
                        require(ended == "none" || ended == "io.evfdd.Deleted",
                                "ended by " + ended);
                        wire.request("Delete", {{"items", items({"reborn"})}});
                    } else {
                        const auto ended = error_of(waiting.reply());
                        require(ended == "io.evfdd.Deleted", "ended by " + ended);
                    }
                }
                // The writes below go to descriptors of deleted events, so they must not wake the
                // daemon.
                parent.send(rounds);
                parent.receive();
                write_to_all(held);
                parent.send(0);
                parent.receive();
            });
            const auto rounds = worker.receive();
            report(fmt::format("  {} rounds of create, open and delete", rounds));
            CHECK(rounds > 10);
            worker.send(0);
            worker.receive();
            worker.send(0);
            CHECK(worker.wait() == 0);
        });
}

TEST_CASE("a write to a deleted event that was watched does not wake the daemon")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    WireClient monitor{daemon.path()};
    monitor.call("Monitor", Json::object(), "more");
    REQUIRE(monitor.reply()["parameters"]["change"] == "ready");
    for (int i = 0; i < 300; ++i) {
        REQUIRE(error_of(wire.request("CreateEvent", {{"name", "reborn"}})) == "none");
        REQUIRE(error_of(wire.request("Open", {{"items", items({"reborn"})}})) == "none");
        REQUIRE(error_of(wire.request("Delete", {{"items", items({"reborn"})}})) == "none");
    }
    REQUIRE(wire.descriptors().size() == 300);
    while (await_readable(monitor.socket().get(), 0ns))
        monitor.reply();
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();

    write_to_all(wire.descriptors());
    for (const auto& fd : wire.descriptors()) {
        eventfd_t count = 0;
        CHECK(::eventfd_read(fd.get(), &count) == 0);
    }

    CHECK(daemon.usage() == before);
}

TEST_CASE(
    "old private descriptors of a deleted object are not subscribed to a new one with its name")
{
    skip_unless_root();
    const DaemonProcess daemon;
    check_withstands(
        daemon, "pulses and timers deleted and created again, with their descriptors held", [&] {
            Worker worker = start_attacker([&](const WorkerSocket& parent) {
                WireClient wire{daemon.path()};
                std::deque<UniqueFd> held;
                std::uint64_t rounds = 0;
                const auto end = monotonic_deadline(is_sanitized ? 400ms : 1s);
                for (; monotonic_now() < end; ++rounds) {
                    wire.request("CreateEvent", {{"name", "pulse"}, {"mode", "pulse"}});
                    wire.request("Arm", {{"name", "timer"}, {"intervalNSec", 3'600'000'000'000}});
                    require(error_of(wire.request(
                                "Open", {{"items", items({"pulse", "timer"})}})) == "none",
                            "the open failed");
                    auto& opened = wire.descriptors();
                    require(opened.size() == 2, "the open did not return two descriptors");
                    // The set and the expiration must reach the subscribers of the new pulse and
                    // timer, but no subscriber of the deleted ones.
                    wire.request("Set", {{"items", items({"pulse"})}});
                    wire.request("Arm",
                                 {{"name", "timer"}, {"firstNSec", 1}, {"clock", "monotonic"}});
                    require(await_readable(opened[0].get()) && await_readable(opened[1].get()),
                            "its subscribers are not notified");
                    for (const auto& old : held)
                        require(!await_readable(old.get(), 0ns),
                                "a subscriber of an earlier object is notified");
                    for (auto& one : opened) {
                        std::uint64_t count = 0;
                        require(::read(one.get(), &count, sizeof count) == sizeof count,
                                "the read failed");
                        held.push_back(std::move(one));
                    }
                    opened.clear();
                    while (held.size() > 100)
                        held.pop_front();
                    require(error_of(wire.request(
                                "Delete", {{"items", items({"pulse", "timer"})}})) == "none",
                            "the delete failed");
                }
                parent.send(rounds);
            });
            const auto rounds = worker.receive();
            report(fmt::format("  {} rounds of create, open and delete", rounds));
            CHECK(rounds > 10);
            CHECK(worker.wait() == 0);
        });
}

} // namespace
} // namespace evfd::e2e
