#include "daemon/ipc/server.h"

#include "daemon/process/listening_socket.h"
#include "tests/support/lingering.h"
#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/send_with_fds.h"
#include "tests/support/service_fixture.h"
#include "tests/support/unix_address.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <system_error>

namespace evfd::daemon {
namespace {

const std::string get_info = R"({"method":"org.varlink.service.GetInfo"})";

struct ServerFixture {
    explicit ServerFixture(Limits limits = default_limits,
                           KernelFeatures kernel = probe_kernel_features())
        : socket{path, 0600, kernel},
          service{loop, {limits}, state_store, make_incrementer(), {ample_budget, ample_budget}},
          server{loop, service, kernel}
    {
        server.listen(socket.release());
    }

    // Connects a client. The server accepts or rejects the client in the next iteration.
    TestClient connect() const
    {
        TestClient client{UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
        REQUIRE(connect_path(client.socket, path) == 0);
        return client;
    }
    std::string request(TestClient& client, std::string_view method,
                        std::string_view parameters = "{}")
    {
        client.call(method, parameters);
        run_until_idle(loop);
        return client.reply();
    }

    TemporaryDirectory directory;
    std::string path = directory / "socket";
    ListeningSocket socket;
    EventLoop loop;
    StateStore state_store{loop};
    Service service;
    Server server;
};

TEST_CASE("a client is served as the user that it is")
{
    ServerFixture fixture;
    auto client = fixture.connect();
    fixture.request(client, "CreateEvent", R"({"name":"e"})");
    const auto shown = fixture.request(client, "Show", R"({"name":"e"})");
    CHECK(shown.contains("\"ownerUid\":" + std::to_string(::getuid()) + ","));
    CHECK(shown.contains("\"groupGid\":" + std::to_string(::getgid()) + ","));
    CHECK(shown.contains("\"creatorPid\":" + std::to_string(::getpid()) + ","));
}

TEST_CASE("a call that was sent before the connection was accepted is answered")
{
    ServerFixture fixture;
    auto client = fixture.connect();
    client.send(framed(get_info));
    run_until_idle(fixture.loop);
    CHECK(client.reply().contains("evfdd"));
}

TEST_CASE("many new clients are accepted while existing ones are served")
{
    ServerFixture fixture;
    auto first = fixture.connect();
    run_until_idle(fixture.loop);
    std::deque<TestClient> crowd;
    for (int i = 0; i < 100; ++i)
        crowd.push_back(fixture.connect());
    first.send(framed(get_info));
    run_iterations(fixture.loop, 2);
    CHECK(first.reply().contains("evfdd"));
    run_until_idle(fixture.loop);
    for (auto& client : crowd)
        client.send(framed(get_info));
    run_until_idle(fixture.loop);
    for (auto& client : crowd)
        CHECK(client.reply().contains("evfdd"));
}

TEST_CASE("a server listens on several sockets")
{
    ServerFixture fixture;
    ListeningSocket other{fixture.directory / "other", 0600, probe_kernel_features()};
    fixture.server.listen(other.release());
    auto one = fixture.connect();
    fixture.path = fixture.directory / "other";
    auto two = fixture.connect();
    CHECK(fixture.request(one, "Status").contains("\"connections\":2"));
    CHECK(fixture.request(two, "Status").contains("\"connections\":2"));
}

TEST_CASE("a user's last allowed connection is accepted, and the next refused with the reason")
{
    auto limits = default_limits;
    limits.set(Resource::connections, 2);
    ServerFixture fixture{limits};
    auto one = fixture.connect();
    auto two = fixture.connect();
    auto three = fixture.connect();
    run_until_idle(fixture.loop);

    CHECK(three.reply().starts_with(
        R"({"error":"io.evfdd.QuotaExceeded","parameters":{"quota":"connections","limit":2,)"));
    CHECK(three.is_disconnected());
    CHECK(fixture.request(one, "Status").contains("\"connections\":2"));
    CHECK(fixture.request(two, "Status").contains("\"connections\":2"));

    one.socket = {};
    run_until_idle(fixture.loop);
    auto four = fixture.connect();
    CHECK(fixture.request(four, "Status").contains("\"connections\":2"));
}

TEST_CASE("descriptors sent with a call reach no other client")
{
    const auto kernel = GENERATE(probe_kernel_features(), KernelFeatures{});
    CAPTURE(kernel.pass_rights);
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end{ends[0]};
    ServerFixture fixture{default_limits, kernel};
    auto client = fixture.connect();
    {
        const std::array<UniqueFd, 1> sent{UniqueFd{ends[1]}};
        const auto done = evfd::send(client.socket, framed(get_info), sent);
        // Either the kernel refuses to send the descriptors, or the daemon disconnects the client.
        CHECK((done ? 0 : done.error().error) == (kernel.pass_rights ? EPERM : 0));
    }
    run_until_idle(fixture.loop);
    // Every descriptor of the write end of the pipe is closed.
    CHECK(probe::await_events(read_end, POLLHUP));
    if (!kernel.pass_rights) {
        CHECK(client.is_disconnected());
        return;
    }
    client.send(framed(get_info));
    run_until_idle(fixture.loop);
    CHECK(client.reply().contains("evfdd"));
}

TEST_CASE("a client of a socket that passes credentials, pidfds or labels is served")
{
    ServerFixture fixture{default_limits, KernelFeatures{}};
    ListeningSocket other{fixture.directory / "other", 0600, KernelFeatures{}};
    auto listening = other.release();
    const int enabled = 1;
    for (const int option : {SO_PASSCRED, SO_PASSSEC})
        REQUIRE(::setsockopt(listening.get(), SOL_SOCKET, option, &enabled, sizeof enabled) == 0);
    if (::setsockopt(listening.get(), SOL_SOCKET, so_passpidfd, &enabled, sizeof enabled) < 0) {
        const int error = errno;
        REQUIRE(error == ENOPROTOOPT); // The kernel has SO_PASSPIDFD since Linux 6.5.
    }
    fixture.server.listen(std::move(listening));
    fixture.path = fixture.directory / "other";
    auto client = fixture.connect();
    CHECK(fixture.request(client, "Status").contains("\"connections\":1"));
}

TEST_CASE("a connection with a descriptor in it is charged until it is closed")
{
    ServerFixture fixture{default_limits, KernelFeatures{}};
    std::deque<TestClient> clients;
    std::deque<LingeringSocket> lingering;
    // Child processes of the daemon close these sockets. The first child closes the sockets that
    // are queued when the child is created. The second child closes the sockets that are queued
    // later.
    for (int i = 0; i < 3; ++i) {
        const auto& client = clients.emplace_back(fixture.connect());
        const std::array sent{lingering.emplace_back().fd().get()};
        REQUIRE(evfd::send(client.socket, framed(get_info), std::span<const int>{sent}));
        lingering.back().close_sender();
    }
    run_iterations(fixture.loop, 1);
    CHECK(fixture.service.quota().used_by_all(Resource::connections) > 0);
    while (fixture.service.quota().used_by_all(Resource::connections) > 0)
        REQUIRE(fixture.loop.run_once(20s));
    for (const auto& client : clients)
        CHECK(client.is_disconnected());
}

TEST_CASE("a server that exits when idle keeps running while it has a client")
{
    ServerFixture fixture;
    auto client = fixture.connect();
    client.send(framed(get_info));
    fixture.server.stop_when_idle(1ns, {});
    std::string reply;
    while (reply.empty()) { // The server accepts the client before it checks whether it is idle.
        REQUIRE(fixture.loop.run_once(20s));
        reply = client.reply();
    }
    client.socket = {};
    CHECK(fixture.loop.run());
    CHECK(fixture.service.is_idle());
}

TEST_CASE("an object keeps a server from exiting, and its deletion allows it")
{
    ServerFixture fixture;
    auto client = fixture.connect();
    fixture.request(client, "CreateEvent", R"({"name":"e"})");
    client.socket = {};
    fixture.server.stop_when_idle(1ns, {});
    run_until_idle(fixture.loop);
    bool is_deleted = false;
    fixture.loop.defer([&] {
        auto last = fixture.connect();
        last.call("Delete", R"({"items":[{"name":"e"}]})");
        is_deleted = true;
    });
    CHECK(fixture.loop.run());
    CHECK(is_deleted);
    CHECK(fixture.service.is_idle());
}

// The tests below run a server that has no free descriptor.

// Connects more clients than the server has descriptors for. Must run in a child process, because
// it lowers the limit of descriptors. Returns 0 or the number of the failed expectation.
int connect_without_spare_descriptors()
{
    // Closes all inherited descriptors, so that new descriptors have consecutive numbers.
    ::close_range(3, ~0U, 0);
    ServerFixture fixture;
    auto inside = fixture.connect();
    if (!fixture.request(inside, "CreateEvent", R"({"name":"e"})").contains("created\":true"))
        return 1;
    fixture.request(inside, "Open", R"({"items":[{"name":"e"}]})");
    std::deque<TestClient> crowd;
    for (int i = 0; i < 10; ++i)
        crowd.push_back(fixture.connect());
    const UniqueFd next = *duplicate(inside.socket);
    constexpr int spare_descriptors = 4;
    const rlimit limit{static_cast<rlim_t>(next.get()) + spare_descriptors + 1,
                       static_cast<rlim_t>(next.get()) + spare_descriptors + 1};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;

    run_until_idle(fixture.loop);
    int rejected = 0;
    int accepted = 0;
    for (auto& client : crowd) {
        const auto reply = client.reply();
        const bool is_rejected =
            reply.starts_with(R"({"error":"io.evfdd.OutOfDescriptors","parameters":{"limit":)" +
                              std::to_string(limit.rlim_cur) + ",");
        if (is_rejected != client.is_disconnected())
            return 3;
        rejected += is_rejected ? 1 : 0;
        accepted += client.is_disconnected() ? 0 : 1;
    }
    if (accepted != spare_descriptors || rejected != 10 - spare_descriptors)
        return 4;
    // The listener is no longer ready, so the loop finds no event.
    if (*fixture.loop.run_once(0ns) != 0)
        return 5;

    // Existing clients are served. A call that needs a descriptor is refused and leaves nothing
    // half done.
    if (fixture.request(inside, "Set", R"({"items":[{"name":"e"}]})") != R"({"parameters":{}})")
        return 6;
    if (fixture.request(crowd.front(), "Wait", R"({"items":[{"name":"e"}]})").contains("error"))
        return 7;
    if (!fixture.request(inside, "CreateEvent", R"({"name":"f"})").contains("created\":true"))
        return 13;
    if (!fixture.request(inside, "Open", R"({"items":[{"name":"f"}]})")
             .contains("OutOfDescriptors"))
        return 8;
    if (!fixture.request(inside, "Open", R"({"items":[{"name":"e"}]})").contains("fileDescriptor"))
        return 9; // Open needs no new descriptor, because it passes the event's own descriptor.
    if (!fixture.service.registry().objects.find("f"_name)->event()->is_number())
        return 10;
    if (!fixture.request(inside, "Status").contains("\"connections\":5"))
        return 11;

    // The server accepts clients again once it has free descriptors.
    for (int i = 0; i < spare_descriptors; ++i)
        crowd.pop_front();
    run_until_idle(fixture.loop);
    auto later = fixture.connect();
    if (!fixture.request(later, "Open", R"({"items":[{"name":"f"}]})").contains("fileDescriptor"))
        return 12;
    return 0;
}

TEST_CASE("a server at its descriptor limit rejects new clients with the reason and recovers",
          "[alone]")
{
    CHECK(probe::in_child([] {
              try {
                  return connect_without_spare_descriptors();
              } catch (...) {
                  return 99;
              }
          }) == 0);
}

TEST_CASE("a server that can neither accept nor reject pauses, and continues when it can")
{
    ServerFixture fixture;
    auto client = fixture.connect();
    client.call("Status");
    {
        // This limit allows only the descriptors 0 to 2. So the server cannot accept a client even
        // after it has closed its spare descriptor.
        const DescriptorLimit none{3};
        std::size_t events = 0;
        for (int i = 0; i < 1'000; ++i)
            events += *fixture.loop.run_once(0ns);
        CHECK(events < 1'000); // The loop found no event in some iterations, so it does not spin.
        CHECK_FALSE(client.is_disconnected());
    }
    const auto deadline = monotonic_deadline(20s);
    while (!is_ready(client.socket) && monotonic_now() < deadline)
        REQUIRE(fixture.loop.run_once(100ms));
    CHECK(client.reply().contains("\"connections\":1"));
}

TEST_CASE("a client that disconnects before its rejection does no harm")
{
    auto limits = default_limits;
    limits.set(Resource::connections, 1);
    ServerFixture fixture{limits};
    auto inside = fixture.connect();
    run_until_idle(fixture.loop);
    {
        const auto short_lived = fixture.connect();
    }
    run_until_idle(fixture.loop);
    CHECK(fixture.service.counters().rejected == 1);
    CHECK(fixture.request(inside, "Status").contains("\"connections\":1"));
}

TEST_CASE("a client without credentials is not accepted")
{
    ServerFixture fixture;
    fixture.server.admit(*make_eventfd(0, Counter::plain)); // An eventfd has no peer credentials.
    // Runs the loop until the server has closed the connection.
    while (fixture.service.quota().used_by_all(Resource::connections) > 0)
        REQUIRE(fixture.loop.run_once(20s));
    auto client = fixture.connect();
    CHECK(fixture.request(client, "Status").contains("\"connections\":1"));
}

TEST_CASE("a user whose clients leave descriptors unread gets no more until they are read")
{
    auto limits = default_limits;
    limits.set(Resource::unread_descriptors, 3);
    ServerFixture fixture{limits};
    auto idle_reader = fixture.connect();
    auto other = fixture.connect();
    for (const auto* name : {"a", "b"})
        fixture.request(idle_reader, "CreateEvent", R"({"name":")"s + name + R"("})");
    idle_reader.call("Open", R"({"items":[{"name":"a"},{"name":"b"}]})");
    run_until_idle(fixture.loop);

    CHECK(fixture.request(other, "Open", R"({"items":[{"name":"a"}]})").contains("fileDescriptor"));
    // The two descriptors of `idle_reader` are unread. Two more would exceed the limit of 3.
    other.call("Open", R"({"items":[{"name":"a"},{"name":"b"}]})");
    run_until_idle(fixture.loop);
    CHECK(other.reply().starts_with(
        R"({"error":"io.evfdd.QuotaExceeded","parameters":{"quota":"unreadDescriptors","limit":3,)"));

    CHECK(idle_reader.reply().contains("fileDescriptor"));
    CHECK(fixture.request(other, "Open", R"({"items":[{"name":"a"},{"name":"b"}]})")
              .contains("fileDescriptor"));
}

TEST_CASE("descriptors that were read meanwhile do not count")
{
    auto limits = default_limits;
    limits.set(Resource::unread_descriptors, 1);
    ServerFixture fixture{limits};
    std::vector<TestClient> clients;
    for (int i = 0; i < 5; ++i)
        clients.push_back(fixture.connect());
    fixture.request(clients.front(), "CreateEvent", R"({"name":"a"})");
    for (auto& client : clients)
        CHECK(fixture.request(client, "Open", R"({"items":[{"name":"a"}]})")
                  .contains("fileDescriptor"));
    clients.clear();
    run_until_idle(fixture.loop);
    CHECK(fixture.service.quota().used_by_all(Resource::unread_descriptors) == 0);
}

} // namespace
} // namespace evfd::daemon
