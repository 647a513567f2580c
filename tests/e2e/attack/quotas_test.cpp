// A user who takes as much as he is let, of everything there is a limit for.
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>
#include <sys/socket.h>

namespace evfd::e2e {
namespace {

constexpr int objects = 12, connections = 20, subscriptions = 5, waits = 4, monitors = 3,
              ticks = 3'000, unread_descriptors = 6, kept_answers = 7;
// What a session keeps of a Set, to answer it once more.
constexpr std::string_view kept_answer = R"({"parameters":{}})";
constexpr int unread_bytes = kept_answers * static_cast<int>(kept_answer.size());

std::string few_of_each(const TemporaryDirectory& directory)
{
    const Json limits{{"objects", objects},
                      {"connections", connections},
                      {"subscriptions", subscriptions},
                      {"waits", waits},
                      {"monitors", monitors},
                      {"ticksPerSecond", ticks},
                      {"unreadDescriptors", unread_descriptors}};
    // What the neighbour has not read is no matter here.
    const Json of_one = Json::array({{{"user", stranger}, {"unreadBytes", unread_bytes}}});
    write_file(directory / "evfdd.json", Json{{"limits", limits}, {"userLimits", of_one}}.dump());
    return directory / "evfdd.json";
}

// The hostile user, and what he has.
struct Hoard {
    explicit Hoard(const Daemon& its_daemon) : daemon{its_daemon}, wire{daemon.path()} {}

    const Daemon& daemon;
    Wire wire;
    std::vector<Wire> others; // One for each thing that takes a connection of its own.
    std::vector<std::string> names;
    int number = 0;

    std::string new_name() { return fmt::format("hoard/{}/{}", ::getpid(), ++number); }
};

const Json no_error{{"parameters", Json::object()}};

// One more, or the refusal.
using Take = Json (*)(Hoard&);
using GiveBack = void (*)(Hoard&);

Json take_object(Hoard& hoard, std::string_view method, Json parameters)
{
    parameters["name"] = hoard.new_name();
    auto reply = hoard.wire.ask(method, parameters);
    if (!reply.contains("error"))
        hoard.names.push_back(parameters["name"]);
    return reply;
}

Json take_event(Hoard& hoard)
{
    return take_object(hoard, "CreateEvent",
                       {{"mode", hoard.number % 2 == 0 ? "manual" : "pulse"}});
}

Json take_event_of_connection(Hoard& hoard)
{
    return take_object(hoard, "CreateEvent", {{"lifetime", "connection"}});
}

Json take_timer(Hoard& hoard)
{
    return take_object(hoard, "Arm", {{"intervalNSec", 3'600'000'000'000}});
}

void delete_one(Hoard& hoard)
{
    require(!hoard.wire.ask("Delete", {{"names", {hoard.names.back()}}}).contains("error"),
            "not deleted");
    hoard.names.pop_back();
}

Json take_connection(Hoard& hoard)
{
    Wire one{hoard.daemon.path()};
    auto reply = one.ask("Status");
    if (!reply.contains("error"))
        hoard.others.push_back(std::move(one));
    return reply;
}

Json take_subscription(Hoard& hoard)
{
    auto reply = hoard.wire.ask("Open", {{"names", {hoard.number++ % 2 == 0 ? "pulse" : "timer"}}});
    hoard.wire.descriptors().clear();
    if (!reply.contains("error"))
        hoard.names.push_back(reply["parameters"]["objects"][0]["subscription"]);
    return reply;
}

void unsubscribe_one(Hoard& hoard)
{
    require(
        !hoard.wire.ask("Unsubscribe", {{"subscription", hoard.names.back()}}).contains("error"),
        "not unsubscribed");
    hoard.names.pop_back();
}

std::int64_t waiting(Hoard& hoard)
{
    const auto shown = hoard.wire.ask("Show", {{"name", "waited-for"}});
    return shown["parameters"]["object"]["waits"].get<std::int64_t>();
}

// It has no answer for as long as it waits.
Json take_wait(Hoard& hoard)
{
    const auto before = waiting(hoard);
    Wire one{hoard.daemon.path()};
    one.call("Wait", {{"names", {"waited-for"}}});
    while (!await_readable(one.socket().get(), 0ns))
        if (waiting(hoard) > before) {
            hoard.others.push_back(std::move(one));
            return no_error;
        }
    return one.reply();
}

void end_wait(Hoard& hoard)
{
    const auto before = waiting(hoard);
    hoard.others.pop_back();
    require(eventually([&] { return waiting(hoard) < before; }), "a wait does not end");
}

Json take_monitor(Hoard& hoard)
{
    Wire one{hoard.daemon.path()};
    one.call("Monitor", {{"pattern", "none"}}, "more");
    auto reply = one.reply();
    if (!reply.contains("error"))
        hoard.others.push_back(std::move(one));
    return reply;
}

// A timer that sets an event a thousand times a second.
Json take_ticks(Hoard& hoard)
{
    return take_object(hoard, "Arm", {{"intervalNSec", 1'000'000}, {"sets", "waited-for"}});
}

// Looks at the answer, but leaves it and its descriptor where they are.
Json take_unread_descriptor(Hoard& hoard)
{
    Wire one{hoard.daemon.path()};
    one.call("Open", {{"names", {"waited-for"}}});
    require(await_readable(one.socket().get()), "no answer");
    std::string text(4'096, '\0');
    const auto size = ::recv(one.socket().get(), text.data(), text.size(), MSG_PEEK);
    require(size > 0 && text[static_cast<std::size_t>(size) - 1] == '\0', "half an answer");
    auto reply = Json::parse(text.substr(0, static_cast<std::size_t>(size) - 1));
    if (!reply.contains("error"))
        hoard.others.push_back(std::move(one));
    return reply;
}

// A session has its last answer once more, for the case that its client did not hear it.
Json take_kept_answer(Hoard& hoard)
{
    Wire one{hoard.daemon.path()};
    auto reply =
        one.ask("Resume", {{"session", fmt::format("{:016x}{:016x}", ::getpid(), ++hoard.number)},
                           {"calls", 0}});
    if (!reply.contains("error"))
        reply = one.ask("Set", {{"names", {"waited-for"}}});
    if (!reply.contains("error")) {
        require(reply.dump() == kept_answer, "another answer");
        hoard.others.push_back(std::move(one));
    }
    return reply;
}

struct Resource {
    const char* what;
    const char* quota;
    int limit;
    int unit;   // How much of it one is.
    int in_use; // By the hoard itself, before it takes any.
    Take take;
    GiveBack give_back; // Null: it closes a connection, which the daemon notices in its own time.
};

const Resource resources[] = {
    {"events", "objects", objects, 1, 0, take_event, delete_one},
    {"events of a connection", "objects", objects, 1, 0, take_event_of_connection, delete_one},
    {"timers", "objects", objects, 1, 0, take_timer, delete_one},
    {"connections", "connections", connections, 1, 1, take_connection, nullptr},
    {"subscriptions", "subscriptions", subscriptions, 1, 0, take_subscription, unsubscribe_one},
    {"waits", "waits", waits, 1, 0, take_wait, end_wait},
    {"monitors", "monitors", monitors, 1, 0, take_monitor, nullptr},
    {"ticks", "ticksPerSecond", ticks, 1'000, 0, take_ticks, delete_one},
    {"unread descriptors", "unreadDescriptors", unread_descriptors, 1, 0, take_unread_descriptor,
     nullptr},
    {"kept answers", "unreadBytes", unread_bytes, static_cast<int>(kept_answer.size()), 0,
     take_kept_answer, nullptr},
};

void require_refusal(const Json& reply, const Resource& resource)
{
    require(reply.value("error", "none") == "io.evfdd.QuotaExceeded" &&
                reply["parameters"]["quota"] == resource.quota &&
                reply["parameters"]["limit"] == resource.limit,
            "the first too many is not refused: "s + reply.dump());
}

void give_back_and_take(Hoard& hoard, const Resource& resource)
{
    const auto takes = [&] { return !resource.take(hoard).contains("error"); };
    if (resource.give_back) {
        resource.give_back(hoard);
        require(takes(), "what was given back is not there");
    } else {
        hoard.others.pop_back();
        require(eventually(takes), "what a closed connection had is not there");
    }
}

TEST_CASE(
    "of everything with a limit a user has the last one and not one more while others have theirs")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const Daemon daemon{{"--config", few_of_each(directory)}};
    const auto client = talking_to(daemon);
    must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0666")}));
    must(client.arm("timer", {.interval = 1h}, {.rights = Rights::parse("0666")}));
    must(client.create("waited-for", {.rights = Rights::parse("0666")}));
    // A row for each resource: how one more of it is taken, and given back.
    const auto& resource = GENERATE(from_range(std::begin(resources), std::end(resources)));

    withstand(daemon, "as many "s + resource.what + " as there are", [&] {
        Worker worker = hostile([&](const Line&) {
            Hoard hoard{daemon};
            for (int i = resource.in_use; i < resource.limit / resource.unit; ++i)
                require(!resource.take(hoard).contains("error"), "one is refused within the limit");
            for (int i = 0; i < fewer(200); ++i)
                require_refusal(resource.take(hoard), resource);
            // The limit is the user's, however many connections or processes he has.
            Worker second{[&](const Line&) {
                Hoard another{daemon};
                require_refusal(resource.take(another), resource);
            }};
            require(second.wait() == 0, "another process has one more");
            for (int i = 0; i < fewer(200); ++i) {
                give_back_and_take(hoard, resource);
                require_refusal(resource.take(hoard), resource);
            }
            while (!hoard.names.empty())
                resource.give_back(hoard);
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("who has no more than one call in a turn has all his calls answered, one by one")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    write_file(directory / "evfdd.json", Json{{"limits", {{"callsPerTurn", 1}}}}.dump());
    const Daemon daemon{{"--config", directory / "evfdd.json"}};
    withstand(daemon, "one call in a turn", [&] {
        Worker worker = hostile([&](const Line&) {
            constexpr int crowd = 10, calls = 20;
            std::vector<Wire> wires;
            for (int i = 0; i < crowd; ++i)
                wires.emplace_back(daemon.path());
            for (int round = 0; round < fewer(50); ++round) {
                for (auto& wire : wires)
                    for (int i = 0; i < calls; ++i)
                        wire.call("Show", {{"name", std::to_string(i)}});
                for (auto& wire : wires)
                    for (int i = 0; i < calls; ++i)
                        require(wire.reply()["parameters"]["name"] == std::to_string(i),
                                "not its answer");
            }
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("a user with all that he may have of everything at once takes nothing from others")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const Daemon daemon{{"--config", few_of_each(directory)}};
    const auto client = talking_to(daemon);
    must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0666")}));
    must(client.arm("timer", {.interval = 1h}, {.rights = Rights::parse("0666")}));
    must(client.create("waited-for", {.rights = Rights::parse("0666")}));
    withstand(daemon, "as many of everything as there are", [&] {
        Worker worker = hostile([&](const Line&) {
            Hoard hoard{daemon};
            const auto end = monotonic_after(is_sanitized ? 200ms : 500ms);
            while (monotonic_now() < end)
                for (const auto take : {take_event_of_connection, take_subscription, take_wait,
                                        take_monitor, take_connection})
                    for (int i = 0; i < 30; ++i)
                        if (take(hoard).contains("error"))
                            break;
        });
        CHECK(worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
