// Tests of attacks by clients that do not read their replies, and by clients that are stopped in
// the middle of a call.
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <map>

namespace evfd::e2e {
namespace {

Json numbered_names(const std::string& prefix, int first, int count)
{
    Json names = Json::array();
    for (int i = first; i < first + count; ++i)
        names.push_back(prefix + std::to_string(i));
    return names;
}

void create_all(WireClient& wire, const Json& names, const Json& with = Json::object())
{
    for (std::size_t i = 0; i < names.size(); i += 250) {
        const auto end = std::min(i + 250, names.size());
        for (auto j = i; j < end; ++j) {
            Json parameters = with;
            parameters["name"] = names[j];
            wire.call("CreateEvent", parameters);
        }
        for (auto j = i; j < end; ++j)
            require(!wire.reply().contains("error"), "the create failed");
    }
}

// Calls the method with all names as its items, 250 in each call.
void call_for_all(WireClient& wire, const char* method, const Json& names)
{
    for (std::size_t i = 0; i < names.size(); i += 250) {
        Json some = Json::array();
        for (auto j = i; j < std::min(i + 250, names.size()); ++j)
            some.push_back(names[j]);
        require(!wire.request(method, {{"items", items(some)}}).contains("error"),
                "a call for all names failed");
    }
}

// Opens all events, so that they have their descriptors before the test counts those of the daemon.
void open_all(WireClient& wire, const Json& names)
{
    call_for_all(wire, "Open", names);
    wire.descriptors().clear();
}

void delete_all(WireClient& wire, const Json& names)
{
    call_for_all(wire, "Delete", names);
}

// Returns a command that runs the daemon as an unprivileged user. For such a user, but not for
// root, the kernel limits the number of descriptors in unread messages.
Command unprivileged()
{
    return {.argv = {}, .user = User{unprivileged_uid + 1'000}};
}

TEST_CASE("a client that opens at full speed and never reads does not exhaust descriptors")
{
    skip_unless_root();
    const DaemonProcess daemon{{}, unprivileged()};
    // The attacker opens this many connections and never reads from them. For each connection, the
    // descriptors of one reply are in the socket, and the daemon holds the descriptors of the next
    // reply.
    constexpr int not_reading = 60;
    const auto names = numbered_names("e/", 0, 253);
    {
        WireClient wire{daemon.path()};
        create_all(wire, names, {{"permissions", "0666"}});
        open_all(wire, names);
    }
    check_withstands(daemon, "opening without reading", [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            const auto call = call_text("Open", {{"items", items(names)}});
            std::vector<WireClient> wires;
            for (int i = 0; i < not_reading; ++i)
                wires.emplace_back(daemon.path());
            std::uint64_t calls = 0;
            const auto end = monotonic_deadline(is_sanitized ? 400ms : 1s);
            while (monotonic_now() < end)
                // If only a part of a call fits into the socket, the attacker never sends the rest
                // of the call, and the daemon waits for the rest.
                for (auto& wire : wires)
                    calls += wire.send_some(call) == call.size() ? 1u : 0u;
            parent.send(calls);
        });
        report(fmt::format("  {} connections sent {} calls for 253 descriptors each", not_reading,
                           worker.receive()));
        CHECK(worker.wait() == 0);
    });
}

// The state of the objects according to the replies of one monitor.
class MonitorModel {
public:
    // Applies one reply of the monitor. Returns false once the monitor is ready and has reported
    // the object `last`. By then the monitor has reported all objects with earlier names.
    bool apply(const Json& reply, const std::string& last)
    {
        const auto& update = reply["parameters"];
        require(update["sequence"] == ++sequence_, "a reply is missing");
        const auto change = update["change"].get<std::string>();
        if (change == "resync") {
            objects_.clear();
            is_ready_ = false;
            ++resyncs_;
        } else if (change == "ready") {
            is_ready_ = true;
        } else if (change == "deleted") {
            require(objects_.erase(update["name"].get<std::string>()) == 1,
                    "an unknown object was deleted");
        } else {
            const auto name = update["name"].get<std::string>();
            require(objects_.contains(name) == (change == "changed"),
                    "created twice, or changed and unknown");
            objects_[name] = update["object"]["isSet"].get<bool>();
        }
        return !(is_ready_ && objects_.contains(last));
    }
    const std::map<std::string, bool>& objects() const { return objects_; }
    int resyncs() const { return resyncs_; }

private:
    std::int64_t sequence_ = 0;
    bool is_ready_ = false;
    int resyncs_ = 0;
    std::map<std::string, bool> objects_;
};

TEST_CASE("monitors that never read use little memory and report the current state when they read")
{
    skip_unless_root();
    const DaemonProcess daemon;
    constexpr int monitors = 60;
    constexpr int objects = 2'000;
    constexpr int changes = is_sanitized ? 20'000 : 100'000;
    const auto names = numbered_names("changing/", 0, objects);
    check_withstands(daemon, "60 monitors that do not read", [&] {
        Worker not_reading = start_attacker([&](const WorkerSocket& parent) {
            std::vector<WireClient> wires;
            for (int i = 0; i < monitors; ++i) {
                wires.emplace_back(daemon.path());
                wires.back().call("Monitor", Json::object(), "more");
            }
            parent.send(0);
            parent.receive(); // Waits until the test tells the attacker to start reading.
            MonitorModel reported;
            while (reported.apply(wires.front().reply(), "zzz")) {
            }
            // Some events can have changed after the monitor reported them. The monitor reports the
            // changes before it reports the marker "zzzz", which is created last.
            WireClient marker{daemon.path()};
            require(!marker.request("CreateEvent", {{"name", "zzzz"}}).contains("error"),
                    "the marker was not created");
            while (reported.apply(wires.front().reply(), "zzzz")) {
            }
            parent.send(static_cast<std::uint64_t>(reported.resyncs()));
            for (const auto& [name, is_set] : reported.objects())
                if (name.starts_with("changing/"))
                    parent.send(std::stoull(name.substr(9)) << 1 | (is_set ? 1 : 0));
            parent.send(~std::uint64_t{0});
            parent.receive();
        });
        not_reading.receive();
        const auto before = resident_kib(daemon);
        WireClient wire{daemon.path()};
        create_all(wire, names);
        const auto begin = monotonic_now();
        for (int i = 0; i < changes; i += 250) {
            Json some = Json::array();
            for (int j = i; j < i + 250; ++j)
                some.push_back(names[static_cast<std::size_t>(j % objects)]);
            const bool sets = (i / objects) % 2 == 0;
            REQUIRE_FALSE(
                wire.request(sets ? "Set" : "Clear", {{"items", items(some)}}).contains("error"));
        }
        const auto seconds =
            static_cast<double>(nanoseconds{monotonic_now() - begin}.count()) / 1e9;
        REQUIRE_FALSE(
            wire.request("Set", {{"items", items({names[3], names[1'999]})}}).contains("error"));
        REQUIRE_FALSE(wire.request("CreateEvent", {{"name", "zzz"}}).contains("error"));
        const auto growth = resident_kib(daemon) - before;
        report(fmt::format("  {} changes in {:.2f} s; {:+} KiB for {} monitors that do not read",
                           changes, seconds, growth, monitors));
        // The daemon can keep an output queue and a list of unreported changes for each monitor.
        // The limit below has room for them. Socket buffers are memory of the kernel, so they do
        // not count.
        CHECK(growth < (is_sanitized ? 300'000 : 40'000));

        std::map<std::string, bool> truth;
        value_or_throw(daemon.client().list("changing/*", [&](protocol::Object& object) {
            truth[std::string{object.name.text().substr(9)}] = *object.is_set;
        }));
        not_reading.send(0);
        const auto resyncs = not_reading.receive();
        CHECK(resyncs > 0);
        std::map<std::string, bool> reported;
        for (auto word = not_reading.receive(); word != ~std::uint64_t{0};
             word = not_reading.receive())
            reported[std::to_string(word >> 1)] = (word & 1) != 0;
        CHECK(reported.size() == objects);
        CHECK(reported == truth);
        not_reading.send(0);
        CHECK(not_reading.wait() == 0);
        delete_all(wire, names);
        delete_all(wire, {"zzz", "zzzz"});
    });
}

TEST_CASE("unread monitors of slow patterns over many changing objects delay nobody")
{
    skip_unless_root();
    const DaemonProcess daemon;
    constexpr int monitors = 60;
    constexpr int objects = is_sanitized ? 4'000 : 10'000;
    constexpr int coming = 1'000; // The number of objects that the attacker creates and deletes.
    const auto prefix = std::string(240, 'a');
    const auto names = numbered_names(prefix, 10'000, objects);
    WireClient wire{daemon.path()};
    create_all(wire, names, {{"permissions", "0666"}});
    Json others = Json::array(); // The names of the objects that the attacker creates and deletes.
    for (int i = 10'000; i < 10'000 + coming; ++i)
        others.push_back(prefix + 'b' + std::to_string(i));
    // These patterns are slow for a backtracking matcher. Only at the end of a name does the
    // matcher find that the name does not match, and it tries every way to match the stars.
    std::string all_match;
    while (all_match.size() < 250)
        all_match += "*a";
    const auto none_match = '*' + std::string(120, 'a') + "c*";
    check_withstands(daemon, "60 monitors of slow patterns over 10,000 objects", [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            std::uint64_t rounds = 0;
            const auto end = monotonic_deadline(is_sanitized ? 400ms : 1s);
            while (rounds == 0 || monotonic_now() < end) {
                std::vector<WireClient> wires;
                for (int i = 0; i < monitors; ++i) {
                    wires.emplace_back(daemon.path());
                    wires.back().call("Monitor",
                                      {{"pattern", i % 2 == 0 ? all_match + '*' : none_match}},
                                      "more");
                }
                WireClient another{daemon.path()};
                create_all(another, others);
                delete_all(another, others);
                ++rounds;
            }
            parent.send(rounds);
        });
        report(fmt::format("  {} rounds of {} monitors, {} objects created and deleted in each",
                           worker.receive(), monitors, coming));
        CHECK(worker.wait() == 0);
    });
    delete_all(wire, names);
}

// A function that begins a call and leaves the call unfinished. The test stops the client at this
// point.
using BeginCall = void (*)(const DaemonProcess& daemon, WireClient& wire);
struct Interruption {
    const char* title;
    BeginCall begin;
};

const Interruption interruptions[] = {
    {"half a call sent",
     [](const DaemonProcess&, WireClient& wire) {
         wire.send(call_text("CreateEvent", {{"name", "never"}}).substr(0, 20));
     }},
    {"a reply unread", [](const DaemonProcess&, WireClient& wire) { wire.call("Status"); }},
    {"descriptors unread",
     [](const DaemonProcess&, WireClient& wire) {
         for (int i = 0; i < 10; ++i)
             wire.call("Open", {{"items", items(numbered_names("there/", 0, 200))}});
     }},
    {"private descriptors unread",
     [](const DaemonProcess&, WireClient& wire) {
         for (int i = 0; i < 10; ++i)
             wire.call("Open", {{"items", items({"pulse", "timer"})}});
     }},
    {"a wait pending",
     [](const DaemonProcess&, WireClient& wire) {
         wire.call("Wait", {{"items", items({"there/0", "never"})}, {"require", "all"}});
     }},
    {"a wait that takes, with more behind it",
     [](const DaemonProcess&, WireClient& wire) {
         wire.call("Wait", {{"items", items({"auto"})}});
         for (int i = 0; i < 100; ++i)
             wire.call("Set", {{"items", items({"there/1"})}});
     }},
    {"a monitor streaming",
     [](const DaemonProcess&, WireClient& wire) { wire.call("Monitor", Json::object(), "more"); }},
    {"lists streaming",
     [](const DaemonProcess&, WireClient& wire) {
         for (int i = 0; i < 100; ++i)
             wire.call("List", Json::object(), "more");
     }},
    {"a session begun, with answers unread",
     [](const DaemonProcess&, WireClient& wire) {
         wire.call("Resume", {{"session", fmt::format("{:032x}", ::getpid())}, {"sequence", 0}});
         for (int i = 0; i < 200; ++i)
             wire.call("Set", {{"items", items({"there/2"})}});
     }},
    {"objects that end with it",
     [](const DaemonProcess&, WireClient& wire) {
         for (int i = 0; i < 50; ++i)
             wire.call("CreateEvent", {{"name", fmt::format("its/{}/{}", ::getpid(), i)},
                                       {"lifetime", "session"}});
     }},
    {"calls that want no answer",
     [](const DaemonProcess&, WireClient& wire) {
         for (int i = 0; i < 200; ++i)
             wire.call("Set", {{"items", items({"there/3"})}}, "oneway");
     }},
    {"nothing more to send",
     [](const DaemonProcess&, WireClient& wire) {
         wire.call("Wait", {{"items", items({"never"})}});
         ::shutdown(wire.socket().get(), SHUT_WR);
     }},
};

TEST_CASE("clients stopped in the middle of any call and then killed do not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    {
        WireClient wire{daemon.path()};
        create_all(wire, numbered_names("there/", 0, 2'000), {{"permissions", "0666"}});
        create_all(wire, {"auto"}, {{"mode", "auto"}, {"permissions", "0666"}});
        create_all(wire, {"pulse"}, {{"mode", "pulse"}, {"permissions", "0666"}});
        open_all(wire, numbered_names("there/", 0, 200));
        wire.request("Arm",
                     {{"name", "timer"}, {"intervalNSec", 1'000'000}, {"permissions", "0666"}});
    }
    check_withstands(daemon, "clients stopped in the middle of every call", [&] {
        std::vector<Worker> stopped;
        for (int round = 0; round < scale_rounds(4); ++round)
            for (const auto& middle : interruptions) {
                stopped.push_back(start_attacker([&](const WorkerSocket& parent) {
                    WireClient wire{daemon.path()};
                    middle.begin(daemon, wire);
                    parent.send(0);
                    parent.receive();
                }));
                stopped.back().receive();
                stopped.back().process().signal(SIGSTOP);
            }
        // These calls complete the waits of the stopped clients and change the events that the
        // stopped clients monitor.
        for (int round = 0; round < scale_rounds(20); ++round) {
            const auto number = std::to_string(round);
            const std::vector names{"auto"s, "pulse"s, "there/" + number, "there/1" + number};
            value_or_throw(client.set(names));
            value_or_throw(client.clear(names));
        }
        value_or_throw(client.set(std::vector{"auto"s}));
        for (const auto& one : stopped)
            one.process().signal(SIGKILL);
        stopped.clear();
        // If the daemon consumed a token for a killed client, the daemon returns the token, because
        // the client has not read the reply.
        value_or_throw(client.set(std::vector{"auto"s}));
        REQUIRE(poll_until([&] { return value_or_throw(client.show("auto")).waits == 0; }));
        value_or_throw(client.set(std::vector{"auto"s}));
        CHECK(client.wait(std::vector{"auto"s}, {.timeout = 0ns}).has_value());
        value_or_throw(client.clear(std::vector{"auto"s}));
    });
}

TEST_CASE("clients stopped and killed at any instant do not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    {
        WireClient wire{daemon.path()};
        create_all(wire, numbered_names("there/", 0, 500), {{"permissions", "0666"}});
        create_all(wire, {"auto"}, {{"mode", "auto"}, {"permissions", "0666"}});
        create_all(wire, {"pulse"}, {{"mode", "pulse"}, {"permissions", "0666"}});
        open_all(wire, numbered_names("there/", 0, 200));
        wire.request("Arm",
                     {{"name", "timer"}, {"intervalNSec", 1'000'000}, {"permissions", "0666"}});
    }
    check_withstands(daemon, "clients stopped and killed at any instant", [&] {
        std::vector<Worker> stopped;
        for (int round = 0; round < scale_rounds(100); ++round) {
            stopped.push_back(start_attacker([&](const WorkerSocket& parent) {
                parent.send(0);
                while (true)
                    for (const auto& middle : interruptions) {
                        WireClient wire{daemon.path()};
                        middle.begin(daemon, wire);
                        wire.send_some("x"); // This byte makes a partial call invalid.
                    }
            }));
            stopped.back().receive();
            // Waits up to 6 ms, so that SIGSTOP stops the worker in a different call each time.
            await_readable(stopped.back().process().pidfd().get(), nanoseconds{1ms} * (round % 7));
            stopped.back().process().signal(SIGSTOP);
            if (round % 5 == 4)
                stopped.clear();
        }
        stopped.clear();
    });
}

} // namespace
} // namespace evfd::e2e
