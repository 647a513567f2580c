// Tests of a hostile user that acquires each limited resource up to the user's quota.
#include "tests/e2e/attack/attack.h"

#include <fmt/format.h>
#include <sys/socket.h>

namespace evfd::e2e {
namespace {

constexpr int objects = 12, opened_events = 5, connections = 20, subscriptions = 5, waits = 4,
              monitors = 3, ticks = 3'000, unread_descriptors = 6, cached_replies = 7;
// The reply to Set. A session caches this reply, and sends it again if the client repeats the call.
constexpr std::string_view cached_reply = R"({"parameters":{}})";
constexpr int unread_bytes = cached_replies * static_cast<int>(cached_reply.size());

std::string write_low_limits(const TemporaryDirectory& directory)
{
    const Json limits{{"objects", objects},
                      {"openedEvents", opened_events},
                      {"connections", connections},
                      {"subscriptions", subscriptions},
                      {"waits", waits},
                      {"monitors", monitors},
                      {"ticksPerSecond", ticks},
                      {"unreadDescriptors", unread_descriptors}};
    // Only the hostile user gets the low limit of "unreadBytes", because the well-behaved client
    // can need more bytes for its unread replies.
    const Json user_limits =
        Json::array({{{"user", unprivileged_uid}, {"unreadBytes", unread_bytes}}});
    write_file(directory / "evfdd.json",
               Json{{"limits", limits}, {"userLimits", user_limits}}.dump());
    return directory / "evfdd.json";
}

// A hostile user and the resources that it has acquired.
struct GreedyUser {
    explicit GreedyUser(const DaemonProcess& its_daemon) : daemon{its_daemon}, wire{daemon.path()}
    {
    }

    const DaemonProcess& daemon;
    WireClient wire;
    // Further connections. Some resources, for example a pending wait, need one connection per
    // unit.
    std::vector<WireClient> others;
    std::vector<std::string> names;
    int number = 0;

    std::string new_name() { return fmt::format("hoard/{}/{}", ::getpid(), ++number); }
};

const Json no_error{{"parameters", Json::object()}};

// A function that acquires one more unit of a resource. It returns the reply, which can be a
// refusal.
using Acquire = Json (*)(GreedyUser&);
using Release = void (*)(GreedyUser&);

Json acquire_object(GreedyUser& user, std::string_view method, Json parameters)
{
    parameters["name"] = user.new_name();
    auto reply = user.wire.request(method, parameters);
    if (!reply.contains("error"))
        user.names.push_back(parameters["name"]);
    return reply;
}

Json acquire_event(GreedyUser& user)
{
    return acquire_object(user, "CreateEvent",
                          {{"mode", user.number % 2 == 0 ? "manual" : "pulse"}});
}

Json acquire_temporary_event(GreedyUser& user)
{
    return acquire_object(user, "CreateEvent", {{"lifetime", "session"}});
}

// Opens a new event. If the open is refused, the event is deleted again.
Json acquire_opened_event(GreedyUser& user)
{
    auto created = acquire_object(user, "CreateEvent", Json::object());
    if (created.contains("error"))
        return created;
    auto opened = user.wire.request("Open", {{"items", items({user.names.back()})}});
    user.wire.descriptors().clear();
    if (opened.contains("error")) {
        user.wire.request("Delete", {{"items", items({user.names.back()})}});
        user.names.pop_back();
    }
    return opened;
}

Json acquire_timer(GreedyUser& user)
{
    return acquire_object(user, "Arm", {{"intervalNSec", 3'600'000'000'000}});
}

void delete_one(GreedyUser& user)
{
    require(!user.wire.request("Delete", {{"items", items({user.names.back()})}}).contains("error"),
            "the delete failed");
    user.names.pop_back();
}

Json acquire_connection(GreedyUser& user)
{
    WireClient connection{user.daemon.path()};
    auto reply = connection.request("Status");
    if (!reply.contains("error"))
        user.others.push_back(std::move(connection));
    return reply;
}

Json acquire_subscription(GreedyUser& user)
{
    auto reply =
        user.wire.request("Open", {{"items", items({user.number++ % 2 == 0 ? "pulse" : "timer"})}});
    user.wire.descriptors().clear();
    if (!reply.contains("error"))
        user.names.push_back(reply["parameters"]["objects"][0]["subscription"]);
    return reply;
}

void unsubscribe_one(GreedyUser& user)
{
    require(
        !user.wire.request("Unsubscribe", {{"subscription", user.names.back()}}).contains("error"),
        "not unsubscribed");
    user.names.pop_back();
}

std::int64_t wait_count(GreedyUser& user)
{
    const auto shown = user.wire.request("Show", {{"name", "waited-for"}});
    return shown["parameters"]["object"]["waits"].get<std::int64_t>();
}

// Sends a wait. Returns the refusal if there is one. Returns success once the wait is pending,
// because a pending wait gets no reply.
Json acquire_wait(GreedyUser& user)
{
    const auto before = wait_count(user);
    WireClient connection{user.daemon.path()};
    connection.call("Wait", {{"items", items({"waited-for"})}});
    while (!await_readable(connection.socket().get(), 0ns))
        if (wait_count(user) > before) {
            user.others.push_back(std::move(connection));
            return no_error;
        }
    return connection.reply();
}

void end_wait(GreedyUser& user)
{
    const auto before = wait_count(user);
    user.others.pop_back();
    require(poll_until([&] { return wait_count(user) < before; }), "a wait does not end");
}

Json acquire_monitor(GreedyUser& user)
{
    WireClient connection{user.daemon.path()};
    connection.call("Monitor", {{"pattern", "none"}}, "more");
    auto reply = connection.reply();
    if (!reply.contains("error"))
        user.others.push_back(std::move(connection));
    return reply;
}

// Arms a timer that sets an event a thousand times a second, which uses 1,000 of the quota
// "ticksPerSecond".
Json acquire_ticks(GreedyUser& user)
{
    return acquire_object(user, "Arm", {{"intervalNSec", 1'000'000}, {"sets", "waited-for"}});
}

// Opens an event and reads the reply with MSG_PEEK, so that the reply and its descriptor stay in
// the socket.
Json acquire_unread_descriptor(GreedyUser& user)
{
    WireClient connection{user.daemon.path()};
    connection.call("Open", {{"items", items({"waited-for"})}});
    require(await_readable(connection.socket().get()), "no reply arrived");
    std::string text(4'096, '\0');
    const auto size = ::recv(connection.socket().get(), text.data(), text.size(), MSG_PEEK);
    require(size > 0 && text[static_cast<std::size_t>(size) - 1] == '\0',
            "the reply is incomplete");
    auto reply = Json::parse(text.substr(0, static_cast<std::size_t>(size) - 1));
    if (!reply.contains("error"))
        user.others.push_back(std::move(connection));
    return reply;
}

// Makes the daemon cache a reply. The daemon keeps the last reply of each session, in case the
// client did not receive it.
Json acquire_cached_reply(GreedyUser& user)
{
    WireClient connection{user.daemon.path()};
    auto reply = connection.request(
        "Resume",
        {{"session", fmt::format("{:016x}{:016x}", ::getpid(), ++user.number)}, {"sequence", 0}});
    if (!reply.contains("error"))
        reply = connection.request("Set", {{"items", items({"waited-for"})}});
    if (!reply.contains("error")) {
        require(reply.dump() == cached_reply, "the reply is wrong");
        user.others.push_back(std::move(connection));
    }
    return reply;
}

struct ResourceCase {
    const char* title;
    const char* quota;
    int limit;
    int unit;   // The amount of the resource that one acquisition uses.
    int in_use; // The amount in use by the greedy user before it acquires anything.
    Acquire acquire;
    // The function that releases one unit. Null if closing a connection releases the unit.
    Release release;
};

const ResourceCase resources[] = {
    {"events", "objects", objects, 1, 0, acquire_event, delete_one},
    {"events of a connection", "objects", objects, 1, 0, acquire_temporary_event, delete_one},
    {"opened events", "openedEvents", opened_events, 1, 0, acquire_opened_event, delete_one},
    {"timers", "objects", objects, 1, 0, acquire_timer, delete_one},
    {"connections", "connections", connections, 1, 1, acquire_connection, nullptr},
    {"subscriptions", "subscriptions", subscriptions, 1, 0, acquire_subscription, unsubscribe_one},
    {"waits", "waits", waits, 1, 0, acquire_wait, end_wait},
    {"monitors", "monitors", monitors, 1, 0, acquire_monitor, nullptr},
    {"ticks", "ticksPerSecond", ticks, 1'000, 0, acquire_ticks, delete_one},
    {"unread descriptors", "unreadDescriptors", unread_descriptors, 1, 0, acquire_unread_descriptor,
     nullptr},
    {"kept answers", "unreadBytes", unread_bytes, static_cast<int>(cached_reply.size()), 0,
     acquire_cached_reply, nullptr},
};

void require_refusal(const Json& reply, const ResourceCase& resource)
{
    require(reply.value("error", "none") == "io.evfdd.QuotaExceeded" &&
                reply["parameters"]["quota"] == resource.quota &&
                reply["parameters"]["limit"] == resource.limit,
            "the first too many is not refused: "s + reply.dump());
}

void release_and_acquire(GreedyUser& user, const ResourceCase& resource)
{
    const auto acquires = [&] { return !resource.acquire(user).contains("error"); };
    if (resource.release) {
        resource.release(user);
        require(acquires(), "a released resource is not available");
    } else {
        user.others.pop_back();
        // The daemon notices only after a while that the connection is closed.
        require(poll_until(acquires), "the resource of a closed connection is not available");
    }
}

TEST_CASE("a user gets exactly as much as its limit allows, and other users are unaffected")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const DaemonProcess daemon{{"--config", write_low_limits(directory)}};
    const auto client = connected_client(daemon);
    value_or_throw(
        client.create("pulse", {.mode = Mode::pulse, .permissions = Permissions::parse("0666")}));
    value_or_throw(
        client.arm("timer", {.interval = 1h}, {.permissions = Permissions::parse("0666")}));
    value_or_throw(client.create("waited-for", {.permissions = Permissions::parse("0666")}));
    value_or_throw(client.open("waited-for"));
    // The test runs once for each row of `resources`.
    const auto& resource = GENERATE(from_range(std::begin(resources), std::end(resources)));

    check_withstands(daemon, "as many "s + resource.title + " as allowed", [&] {
        Worker worker = start_attacker([&](const WorkerSocket&) {
            GreedyUser user{daemon};
            for (int i = resource.in_use; i < resource.limit / resource.unit; ++i)
                require(!resource.acquire(user).contains("error"),
                        "a call within the limit was refused");
            for (int i = 0; i < scale_rounds(200); ++i)
                require_refusal(resource.acquire(user), resource);
            // The limit applies to all processes of the user together, so the daemon also refuses
            // the call of a second process.
            Worker second{[&](const WorkerSocket&) {
                GreedyUser another{daemon};
                require_refusal(resource.acquire(another), resource);
            }};
            require(second.wait() == 0, "another process exceeded the limit");
            for (int i = 0; i < scale_rounds(200); ++i) {
                release_and_acquire(user, resource);
                require_refusal(resource.acquire(user), resource);
            }
            while (!user.names.empty())
                resource.release(user);
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("all calls of a user with callsPerIteration 1 are answered in order")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    write_file(directory / "evfdd.json", Json{{"limits", {{"callsPerIteration", 1}}}}.dump());
    const DaemonProcess daemon{{"--config", directory / "evfdd.json"}};
    check_withstands(daemon, "one call in an iteration", [&] {
        Worker worker = start_attacker([&](const WorkerSocket&) {
            constexpr int client_count = 10, calls = 20;
            std::vector<WireClient> wires;
            for (int i = 0; i < client_count; ++i)
                wires.emplace_back(daemon.path());
            for (int round = 0; round < scale_rounds(50); ++round) {
                for (auto& wire : wires)
                    for (int i = 0; i < calls; ++i)
                        wire.call("Show", {{"name", std::to_string(i)}});
                for (auto& wire : wires)
                    for (int i = 0; i < calls; ++i)
                        require(wire.reply()["parameters"]["name"] == std::to_string(i),
                                "the reply belongs to another call");
            }
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("a user at all its limits takes nothing from other users")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const DaemonProcess daemon{{"--config", write_low_limits(directory)}};
    const auto client = connected_client(daemon);
    value_or_throw(
        client.create("pulse", {.mode = Mode::pulse, .permissions = Permissions::parse("0666")}));
    value_or_throw(
        client.arm("timer", {.interval = 1h}, {.permissions = Permissions::parse("0666")}));
    value_or_throw(client.create("waited-for", {.permissions = Permissions::parse("0666")}));
    value_or_throw(client.open("waited-for"));
    check_withstands(daemon, "everything up to its limit", [&] {
        Worker worker = start_attacker([&](const WorkerSocket&) {
            GreedyUser user{daemon};
            const auto end = monotonic_deadline(is_sanitized ? 200ms : 500ms);
            while (monotonic_now() < end)
                for (const auto take : {acquire_temporary_event, acquire_subscription, acquire_wait,
                                        acquire_monitor, acquire_connection})
                    for (int i = 0; i < 30; ++i)
                        if (take(user).contains("error"))
                            break;
        });
        CHECK(worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
