// Tests the order in which connections are served, and how the daemon treats clients that do not
// read.
#include "daemon/ipc/connection.h"

#include "tests/support/service_fixture.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

const std::string get_info = R"({"method":"org.varlink.service.GetInfo"})";
const std::string describe =
    R"({"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"io.evfdd"}})";

std::size_t count_replies(TestClient& client)
{
    std::size_t count = 0;
    while (!client.reply().empty())
        ++count;
    return count;
}

TEST_CASE("a connection yields to others after the calls of one iteration")
{
    constexpr std::size_t budget = default_limits.get(Resource::calls);
    ServiceFixture daemon;
    auto busy = daemon.connect();
    auto other = daemon.connect(bob);
    std::string calls;
    for (std::size_t i = 0; i < 4 * budget; ++i)
        calls += framed(get_info);
    busy.send(calls);
    other.send(framed(get_info));

    run_iterations(daemon.loop, 1);
    CHECK(count_replies(other) == 1);
    const auto first = count_replies(busy);
    CHECK(first >= 1);
    CHECK(first < 4 * budget);
    run_until_idle(daemon.loop);
    CHECK(first + count_replies(busy) == 4 * budget);
}

TEST_CASE("calls after a pending wait are answered after it and in order")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"e","mode":"auto","permissions":"0666"})");
    client.call("Wait", R"({"items":[{"name":"e"}]})");
    client.call("CreateEvent", R"({"name":"held"})");
    run_until_idle(daemon.loop);
    CHECK(daemon.request(other, "Show", R"({"name":"held"})").contains("NoSuchName"));
    client.send(framed(get_info));
    run_until_idle(daemon.loop);
    CHECK(client.reply().empty());
    // The daemon sleeps, although calls of the client are queued behind the pending wait.
    CHECK(daemon.loop.run_once(0ns) == 0);

    daemon.request(other, "Set", R"({"items":[{"name":"e"}]})");

    CHECK(client.reply().contains("fired"));
    CHECK(without_ids(client.reply()) == R"({"parameters":{"created":true}})");
    CHECK(client.reply().contains("evfdd"));
}

TEST_CASE(
    "a client that disconnects during its wait consumes nothing and has no later call executed")
{
    ServiceFixture daemon;
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"e","mode":"auto"})");
    {
        auto client = daemon.connect();
        client.call("Wait", R"({"items":[{"name":"e"}]})");
        client.call("CreateEvent", R"({"name":"held"})");
        run_until_idle(daemon.loop);
        CHECK(daemon.request(other, "Status").contains("\"waits\":1"));
    }
    run_until_idle(daemon.loop);
    CHECK(daemon.request(other, "Status").contains("\"waits\":0"));
    daemon.request(other, "Set", R"({"items":[{"name":"e"}]})");
    CHECK(daemon.request(other, "Show", R"({"name":"e"})").contains("\"isSet\":true"));
    CHECK(daemon.request(other, "Show", R"({"name":"held"})").contains("NoSuchName"));
}

TEST_CASE("a wait consumes nothing that the end of its own connection sets")
{
    ServiceFixture daemon;
    auto other = daemon.connect();
    {
        auto client = daemon.connect();
        daemon.request(client, "CreateEvent", R"({"name":"own","lifetime":"session"})");
        client.call("Wait", R"({"items":[{"name":"own"}]})");
        run_until_idle(daemon.loop);
    }
    run_until_idle(daemon.loop);
    CHECK(daemon.connections() == 1);
    CHECK(daemon.request(other, "Show", R"({"name":"own"})").contains("NoSuchName"));
}

TEST_CASE(
    "a client that does not read has no more calls served, and gets every reply once it reads")
{
    ServiceFixture daemon;
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    constexpr std::size_t calls = 200;
    for (std::size_t i = 0; i < calls; ++i)
        idle_reader.send(framed(describe));
    idle_reader.call("CreateEvent", R"({"name":"last"})");
    run_iterations(daemon.loop, 300);

    CHECK(daemon.loop.run_once(0ns) == 0); // The daemon has nothing to do and sleeps.
    CHECK_FALSE(daemon.service.registry().objects.find("last"_name));
    // The daemon still serves the client that reads.
    CHECK(daemon.request(other, "Status").contains("version"));

    std::size_t got = 0;
    for (std::size_t i = 0; i < 10 * calls && got <= calls; ++i) {
        got += count_replies(idle_reader);
        run_iterations(daemon.loop, 3);
    }
    CHECK(got == calls + 1);
    CHECK(daemon.service.registry().objects.find("last"_name));
}

TEST_CASE("a client that disconnects without reading is disconnected")
{
    ServiceFixture daemon;
    {
        auto idle_reader = daemon.connect();
        for (int i = 0; i < 200; ++i)
            idle_reader.send(framed(describe));
        run_iterations(daemon.loop, 100);
    }
    run_until_idle(daemon.loop);
    CHECK(daemon.connections() == 0);
}

TEST_CASE("each pipelined reply carries its own descriptors")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    for (const auto* name : {"a", "b", "c"})
        daemon.request(client, "CreateEvent",
                       R"({"mode":"semaphore","name":")"s + name + R"(","initial":)" +
                           std::to_string(*name - 'a' + 1) + "}");
    client.send(framed(get_info));
    client.call("Open", R"({"items":[{"name":"a"}]})");
    client.send(framed(get_info));
    client.call("Open", R"({"items":[{"name":"b"},{"name":"c"}]})");
    client.send(framed(get_info));
    run_until_idle(daemon.loop);

    CHECK(client.reply().contains("product"));
    CHECK(client.reply().contains(R"("fileDescriptor":0)"));
    CHECK(client.reply().contains("product"));
    CHECK(client.reply().contains(R"("fileDescriptor":1)"));
    CHECK(client.reply().contains("product"));
    REQUIRE(client.descriptors.size() == 3);
    for (std::uint64_t i = 0; i < 3; ++i)
        CHECK(count(client.descriptors[i]) == i + 1);
}

TEST_CASE("a client that leaves descriptors unread neither keeps the daemon busy nor blocks others")
{
    ServiceFixture daemon;
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    daemon.request(idle_reader, "CreateEvent", R"({"name":"e"})");
    for (int i = 0; i < 3; ++i)
        idle_reader.call("Open", R"({"items":[{"name":"e"}]})");
    run_until_idle(daemon.loop);
    CHECK(daemon.loop.run_once(0ns) == 0);
    daemon.request(other, "Open", R"({"items":[{"name":"e"}]})");
    CHECK(other.descriptors.size() == 1);
}

TEST_CASE("no more descriptors than those of one reply are held for a client that does not read")
{
    ServiceFixture daemon;
    auto idle_reader = daemon.connect();
    std::string list;
    for (int i = 0; i < 100; ++i) {
        const auto name = "\"n/" + std::to_string(i) + "\"";
        daemon.request(idle_reader, "CreateEvent",
                       // With these permissions, Open passes a wait-only handle and not a duplicate
                       // of the event's descriptor.
                       R"({"permissions":"0444","name":)" + name + "}");
        list += (i > 0 ? ",{\"name\":" : "{\"name\":") + name + '}';
    }
    const auto held = [] {
        const std::filesystem::directory_iterator open{"/proc/self/fd"};
        return std::distance(begin(open), end(open));
    };
    const auto before = held();
    for (int i = 0; i < 5; ++i)
        idle_reader.call("Open", R"({"items":[)" + list + "]}");
    run_until_idle(daemon.loop);
    // The daemon has a mirror and a wait-only handle for each of the 100 events.
    CHECK(held() - before == 200);

    for (int i = 0; i < 5; ++i) {
        CHECK(idle_reader.reply().contains("fileDescriptor"));
        run_until_idle(daemon.loop);
    }
    CHECK(idle_reader.descriptors.size() == 500);
}

TEST_CASE("a list arrives in parts, in the order of names, and ends")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    for (int i = 100; i < 300; ++i) {
        client.call("CreateEvent", R"({"name":"n/)" + std::to_string(i) + R"("})");
        while (client.reply().empty())
            run_iterations(daemon.loop, 1);
    }
    client.call("List", R"({"pattern":"n/*"})", true);
    client.send(framed(get_info));
    run_until_idle(daemon.loop);

    std::string all;
    bool continues = true;
    for (int i = 0; continues && i < 1'000; ++i) {
        const auto reply = client.reply();
        all += reply;
        continues = reply.ends_with(R"("continues":true})");
        run_iterations(daemon.loop, 1);
    }
    std::size_t at = 0;
    for (int i = 100; i < 300; ++i) {
        at = all.find("\"n/" + std::to_string(i) + "\"", at);
        REQUIRE(at != std::string::npos);
    }
    CHECK(client.reply().contains("product")); // The reply to GetInfo follows the whole list.
}

// Creates pulses whose names begin with `prefix`, without a call for each.
void create_pulses(ServiceFixture& daemon, const std::string& prefix, int count)
{
    Session session{1, make_peer(alice), {}, {}, {}};
    for (int i = 10'000; i < 10'000 + count; ++i)
        REQUIRE(daemon.service.registry().lifetimes.create(
            {session}, {.name = *Name::parse(prefix + std::to_string(i)), .mode = Mode::pulse}));
    daemon.service.apply_changes();
}

TEST_CASE("a list over many objects without a match yields to other connections")
{
    // Matching this pattern against the names of all objects takes much longer than one iteration.
    const auto name = std::string(240, 'a');
    const auto pattern = R"({"pattern":"*)" + std::string(120, 'a') + R"(b*"})";
    ServiceFixture daemon;
    auto client = daemon.connect(alice);
    auto other = daemon.connect(bob);
    create_pulses(daemon, name, 15'000);
    const auto [method, end] = GENERATE(table<std::string, std::string>(
        {{"List", R"("objects":[])"}, {"Monitor", R"("change":"ready")"}}));
    client.call(method, pattern, true);
    other.send(framed(get_info));

    run_iterations(daemon.loop, 1);

    CHECK(count_replies(other) == 1);
    CHECK(client.reply().empty());
    std::string reply;
    REQUIRE(run_until(daemon.loop, [&] { return !(reply = client.reply()).empty(); }));
    CHECK(reply.contains(end));
}

TEST_CASE("a list or monitor visits only names that begin as its pattern does")
{
    // Matching this pattern against the names of all objects takes much longer than one iteration.
    const auto name = std::string(240, 'a');
    const auto pattern = R"({"pattern":")" + std::string(239, 'a') + R"(b*"})";
    ServiceFixture daemon;
    auto client = daemon.connect(alice);
    create_pulses(daemon, name, 15'000);
    const auto [method, end] = GENERATE(table<std::string, std::string>(
        {{"List", R"("objects":[])"}, {"Monitor", R"("change":"ready")"}}));
    client.call(method, pattern, true);

    run_iterations(daemon.loop, 1);

    CHECK(client.reply().contains(end));
}

TEST_CASE("a monitor that does not read gets merged changes later and delays nobody")
{
    ServiceFixture daemon;
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"e"})");
    idle_reader.call("Monitor", "{}", true);
    run_until_idle(daemon.loop);
    CHECK(idle_reader.reply().contains(R"("sequence":1,"change":"present","name":"e")"));
    CHECK(idle_reader.reply().contains(R"("sequence":2,"change":"ready")"));

    constexpr int sets = 5'000;
    for (int i = 0; i < sets; ++i) {
        REQUIRE_FALSE(
            daemon.request(other, "Set", R"({"items":[{"name":"e"}]})").contains("error"));
    }
    CHECK(daemon.loop.run_once(0ns) == 0);

    int events_received = 0;
    int last = 2;
    for (int i = 0; i < sets; ++i) {
        const auto reply = idle_reader.reply();
        if (reply.empty()) {
            run_iterations(daemon.loop, 3);
            continue;
        }
        ++events_received;
        CHECK(reply.contains("\"sequence\":" + std::to_string(++last) + ","));
    }
    CHECK(events_received > 0);
    CHECK(events_received < sets);
    daemon.request(other, "Delete", R"({"items":[{"name":"e"}]})");
    CHECK(idle_reader.reply().contains(R"("change":"deleted","name":"e")"));
}

Limits with(Resource resource, std::int64_t most)
{
    auto limits = default_limits;
    limits.set(resource, most);
    return limits;
}

// Sends so many calls that the buffer of the socket cannot hold all replies. The daemon queues the
// remaining replies.
void queue_unread_replies(ServiceFixture& daemon, TestClient& client)
{
    for (int i = 0; i < 200; ++i)
        client.send(framed(describe));
    run_until_idle(daemon.loop);
}

TEST_CASE("a user whose clients leave too much unread gets an error, and other users do not")
{
    ServiceFixture daemon{with(Resource::unread_bytes, 1'000)};
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    auto bobs = daemon.connect(bob);
    queue_unread_replies(daemon, idle_reader);

    const auto refused = daemon.request(other, "CreateEvent", R"({"name":"e"})");
    CHECK(refused.contains("io.evfdd.QuotaExceeded"));
    CHECK(refused.contains(R"("quota":"unreadBytes","limit":1000)"));
    CHECK(daemon.request(bobs, "CreateEvent", R"({"name":"b"})").contains("true"));

    std::size_t reply_count = 0;
    while (const auto arrived = count_replies(idle_reader)) {
        reply_count += arrived;
        run_until_idle(daemon.loop);
    }
    CHECK(reply_count == 200);
    CHECK(daemon.service.quota().used(alice, Resource::unread_bytes) == 0);
    CHECK(daemon.request(other, "CreateEvent", R"({"name":"e"})").contains("true"));
}

TEST_CASE("a long unfinished call counts towards the unread bytes of its user")
{
    ServiceFixture daemon{with(Resource::unread_bytes, max_uncounted_call_bytes)};
    auto short_call_client = daemon.connect();
    auto first = daemon.connect();
    auto second = daemon.connect();
    const std::string half(max_uncounted_call_bytes + 1, ' ');

    short_call_client.send({half.data(), max_uncounted_call_bytes});
    run_until_idle(daemon.loop);
    CHECK(daemon.service.quota().used(alice, Resource::unread_bytes) == 0);
    first.send(half);
    run_until_idle(daemon.loop);
    CHECK(daemon.service.quota().used(alice, Resource::unread_bytes) ==
          static_cast<std::int64_t>(max_call_bytes));
    second.send(half);
    run_until_idle(daemon.loop);

    CHECK_FALSE(short_call_client.is_disconnected());
    CHECK_FALSE(first.is_disconnected());
    CHECK(second.is_disconnected());
    first.send(framed(R"({"method":"io.evfdd.Status"})"));
    run_until_idle(daemon.loop);
    // The first client is not disconnected. Its call is refused with an error.
    CHECK(first.reply().contains("QuotaExceeded"));
    CHECK(daemon.service.quota().used(alice, Resource::unread_bytes) == 0);
}

TEST_CASE("a stream continues once the clients of its user have read enough")
{
    ServiceFixture daemon{with(Resource::unread_bytes, 1'000)};
    auto idle_reader = daemon.connect();
    auto monitor = daemon.connect();
    auto bobs = daemon.connect(bob);
    CHECK(daemon.request(monitor, "Monitor", "{}", true).contains("ready"));
    queue_unread_replies(daemon, idle_reader);
    daemon.request(bobs, "CreateEvent", R"({"name":"e"})");
    CHECK(monitor.reply().empty());

    while (count_replies(idle_reader) > 0)
        run_until_idle(daemon.loop);

    std::string event;
    for (int i = 0; i < 100 && event.empty(); ++i, event = monitor.reply())
        REQUIRE(daemon.loop.run_once(100ms));
    CHECK(event.contains(R"("change":"created")"));
}

TEST_CASE("a call without room for its reply still counts in its session")
{
    ServiceFixture daemon{with(Resource::unread_bytes, 1'000)};
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    const auto resume = [](int calls) {
        return R"({"session":")" + std::string(32, 'a') + R"(","sequence":)" +
               std::to_string(calls) + "}";
    };
    daemon.request(other, "Resume", resume(0));
    queue_unread_replies(daemon, idle_reader);
    const auto refused = daemon.request(other, "CreateEvent", R"({"name":"e"})");
    REQUIRE(refused.contains("QuotaExceeded"));
    while (count_replies(idle_reader) > 0)
        run_until_idle(daemon.loop);
    CHECK(daemon.request(other, "CreateEvent", R"({"name":"e"})").contains("true"));
    CHECK(daemon.request(other, "CreateEvent", R"({"name":"e"})").contains("NameTaken"));
}

TEST_CASE("a oneway call needs no room for a reply")
{
    ServiceFixture daemon{with(Resource::unread_bytes, 1'000)};
    auto idle_reader = daemon.connect();
    auto other = daemon.connect();
    queue_unread_replies(daemon, idle_reader);
    REQUIRE(daemon.request(other, "CreateEvent", R"({"name":"e"})").contains("QuotaExceeded"));

    other.send(
        framed(R"({"method":"io.evfdd.CreateEvent","parameters":{"name":"e"},"oneway":true})"));
    run_until_idle(daemon.loop);

    CHECK(other.reply().empty());
    CHECK(daemon.service.registry().objects.find("e"_name));
}

TEST_CASE("a user with many connections gets no more calls an iteration than with one")
{
    constexpr std::size_t most = 5;
    ServiceFixture daemon{with(Resource::calls, most)};
    std::vector<TestClient> busy;
    for (int i = 0; i < 4; ++i) {
        busy.push_back(daemon.connect());
        std::string calls;
        for (int j = 0; j < 10; ++j)
            calls += framed(get_info);
        busy.back().send(calls);
    }
    auto bobs = daemon.connect(bob);
    bobs.send(framed(get_info));

    run_iterations(daemon.loop, 1);
    std::size_t replies = 0;
    for (auto& client : busy)
        replies += count_replies(client);
    CHECK(replies >= 1);
    CHECK(replies <= most);
    CHECK(count_replies(bobs) == 1);
    run_until_idle(daemon.loop);
    for (auto& client : busy)
        replies += count_replies(client);
    CHECK(replies == 40);
}

} // namespace
} // namespace evfd::daemon
