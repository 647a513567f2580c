#include "daemon/ipc/server.h"

#include "daemon/process/listening_socket.h"
#include "tests/support/service_fixture.h"
#include "tests/support/probe.h"
#include "tests/support/lingering.h"
#include "tests/support/resource_limits.h"
#include "tests/support/send_with_fds.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <cstring>
#include <system_error>

namespace evfd::daemon {
namespace {

const std::string get_info = R"({"method":"org.varlink.service.GetInfo"})";

struct House {
    explicit House(Limits limits = default_limits, KernelFeatures kernel = probe_kernel())
        : socket{path, 0600, kernel},
          service{loop, {limits}, vault, make_adder(), {plenty, plenty}},
          server{loop, service, kernel}
    {
        server.listen(socket.release());
    }

    // Connected; whether it is let in, the server decides in its next turn.
    Client knock() const
    {
        Client client{UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        REQUIRE(::connect(client.socket.get(), reinterpret_cast<const sockaddr*>(&address),
                          sizeof address) == 0);
        return client;
    }
    std::string ask(Client& client, std::string_view method, std::string_view parameters = "{}")
    {
        client.call(method, parameters);
        settle(loop);
        return client.reply();
    }

    Directory directory;
    std::string path = directory / "socket";
    ListeningSocket socket;
    EventLoop loop;
    Vault vault{loop};
    Service service;
    Server server;
};

TEST_CASE("whoever connects is served as the user that it is")
{
    House house;
    auto client = house.knock();
    house.ask(client, "CreateEvent", R"({"name":"e"})");
    const auto told = house.ask(client, "Show", R"({"name":"e"})");
    CHECK(told.contains("\"ownerUid\":" + std::to_string(::getuid()) + ","));
    CHECK(told.contains("\"groupGid\":" + std::to_string(::getgid()) + ","));
    CHECK(told.contains("\"creatorPid\":" + std::to_string(::getpid()) + ","));
}

TEST_CASE("a call that was sent before the connection was accepted is answered")
{
    House house;
    auto client = house.knock();
    client.send(framed(get_info));
    settle(house.loop);
    CHECK(client.reply().contains("evfdd"));
}

TEST_CASE("a crowd is let in, and who is in is served meanwhile")
{
    House house;
    auto first = house.knock();
    settle(house.loop);
    std::deque<Client> crowd;
    for (int i = 0; i < 100; ++i)
        crowd.push_back(house.knock());
    first.send(framed(get_info));
    settle(house.loop, 2);
    CHECK(first.reply().contains("evfdd"));
    settle(house.loop);
    for (auto& client : crowd)
        client.send(framed(get_info));
    settle(house.loop);
    for (auto& client : crowd)
        CHECK(client.reply().contains("evfdd"));
}

TEST_CASE("a server listens on several sockets")
{
    House house;
    ListeningSocket other{house.directory / "other", 0600, probe_kernel()};
    house.server.listen(other.release());
    auto one = house.knock();
    house.path = house.directory / "other";
    auto two = house.knock();
    CHECK(house.ask(one, "Status").contains("\"connections\":2"));
    CHECK(house.ask(two, "Status").contains("\"connections\":2"));
}

TEST_CASE("a user's last allowed connection is let in and the next is told why not")
{
    auto limits = default_limits;
    limits.set(Resource::connections, 2);
    House house{limits};
    auto one = house.knock();
    auto two = house.knock();
    auto three = house.knock();
    settle(house.loop);

    CHECK(three.reply().starts_with(
        R"({"error":"io.evfdd.QuotaExceeded","parameters":{"quota":"connections","limit":2,)"));
    CHECK(three.is_let_go());
    CHECK(house.ask(one, "Status").contains("\"connections\":2"));
    CHECK(house.ask(two, "Status").contains("\"connections\":2"));

    one.socket = {};
    settle(house.loop);
    auto four = house.knock();
    CHECK(house.ask(four, "Status").contains("\"connections\":2"));
}

TEST_CASE("descriptors sent with a call reach nobody")
{
    const auto kernel = GENERATE(probe_kernel(), KernelFeatures{});
    CAPTURE(kernel.pass_rights);
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd reading{ends[0]};
    House house{default_limits, kernel};
    auto client = house.knock();
    {
        const std::array<UniqueFd, 1> sent{UniqueFd{ends[1]}};
        const auto done = evfd::send(client.socket, framed(get_info), sent);
        // Either the kernel refuses them, or the daemon lets the client go.
        CHECK((done ? 0 : done.error().error) == (kernel.pass_rights ? EPERM : 0));
    }
    settle(house.loop);
    CHECK(probe::comes(reading, POLLHUP)); // Nobody has the other end.
    if (!kernel.pass_rights) {
        CHECK(client.is_let_go());
        return;
    }
    client.send(framed(get_info));
    settle(house.loop);
    CHECK(client.reply().contains("evfdd"));
}

TEST_CASE(
    "a client at a socket that passes credentials is served, also where it may pass descriptors")
{
    House house{default_limits, KernelFeatures{}};
    ListeningSocket other{house.directory / "other", 0600, KernelFeatures{}};
    auto listening = other.release();
    const int yes = 1;
    for (const int option : {SO_PASSCRED, SO_PASSSEC})
        REQUIRE(::setsockopt(listening.get(), SOL_SOCKET, option, &yes, sizeof yes) == 0);
    house.server.listen(std::move(listening));
    house.path = house.directory / "other";
    auto client = house.knock();
    CHECK(house.ask(client, "Status").contains("\"connections\":1"));
}

TEST_CASE("a connection with a descriptor in it is charged until it is closed")
{
    House house{default_limits, KernelFeatures{}};
    std::deque<Client> clients;
    std::deque<Lingering> lingering;
    for (int i = 0; i < 3; ++i) { // What the first child does not close, the second does.
        const auto& client = clients.emplace_back(house.knock());
        const std::array sent{lingering.emplace_back().fd().get()};
        REQUIRE(evfd::send(client.socket, framed(get_info), std::span<const int>{sent}));
        lingering.back().leave();
    }
    settle(house.loop, 1);
    CHECK(house.service.quota().used_by_all(Resource::connections) > 0);
    while (house.service.quota().used_by_all(Resource::connections) > 0)
        REQUIRE(house.loop.run_once(20s));
    for (const auto& client : clients)
        CHECK(client.is_let_go());
}

TEST_CASE("a server that may stop when idle goes on as long as someone is there")
{
    House house;
    auto client = house.knock();
    client.send(framed(get_info));
    house.server.stop_when_idle(1ns, {});
    std::string reply;
    while (reply.empty()) { // It is let in before the loop would stop.
        REQUIRE(house.loop.run_once(20s));
        reply = client.reply();
    }
    client.socket = {};
    CHECK(house.loop.run());
    CHECK(house.service.is_idle());
}

TEST_CASE("an object keeps a server from stopping, and its deletion lets it")
{
    House house;
    auto client = house.knock();
    house.ask(client, "CreateEvent", R"({"name":"e"})");
    client.socket = {};
    house.server.stop_when_idle(1ns, {});
    settle(house.loop);
    bool is_deleted = false;
    house.loop.defer([&] {
        auto last = house.knock();
        last.call("Delete", R"({"names":["e"]})");
        is_deleted = true;
    });
    CHECK(house.loop.run());
    CHECK(is_deleted);
    CHECK(house.service.is_idle());
}

// Without descriptors.

// In a child process, whose limit is its own. 0, or the number of the expectation that failed.
int visit_a_full_house()
{
    ::close_range(3, ~0U, 0); // So that those of this test are all there are, without a gap.
    House house;
    auto inside = house.knock();
    if (!house.ask(inside, "CreateEvent", R"({"name":"e"})").contains("created\":true"))
        return 1;
    house.ask(inside, "Open", R"({"names":["e"]})");
    std::deque<Client> crowd;
    for (int i = 0; i < 10; ++i)
        crowd.push_back(house.knock());
    const UniqueFd next = *duplicate(inside.socket);
    constexpr int room = 4;
    const rlimit limit{static_cast<rlim_t>(next.get()) + room + 1,
                       static_cast<rlim_t>(next.get()) + room + 1};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 2;

    settle(house.loop);
    int told = 0;
    int let_in = 0;
    for (auto& client : crowd) {
        const auto reply = client.reply();
        const bool is_told =
            reply.starts_with(R"({"error":"io.evfdd.OutOfDescriptors","parameters":{"limit":)" +
                              std::to_string(limit.rlim_cur) + ",");
        if (is_told != client.is_let_go())
            return 3;
        told += is_told ? 1 : 0;
        let_in += client.is_let_go() ? 0 : 1;
    }
    if (let_in != room || told != 10 - room)
        return 4;
    if (*house.loop.run_once(0ns) != 0) // Nothing rings on and on.
        return 5;

    // Those inside go on; what would need a descriptor is refused, and nothing is half done.
    if (house.ask(inside, "Set", R"({"names":["e"]})") != R"({"parameters":{}})")
        return 6;
    if (house.ask(crowd.front(), "Wait", R"({"names":["e"]})").contains("error"))
        return 7;
    if (!house.ask(inside, "CreateEvent", R"({"name":"f"})").contains("OutOfDescriptors"))
        return 8;
    if (!house.ask(inside, "Open", R"({"names":["e"]})").contains("fileDescriptor"))
        return 9; // It is lent.
    if (house.service.registry().objects().size() != 1)
        return 10;
    if (!house.ask(inside, "Status").contains("\"connections\":5"))
        return 11;

    // It recovers.
    for (int i = 0; i < room; ++i)
        crowd.pop_front();
    settle(house.loop);
    auto later = house.knock();
    if (!house.ask(later, "CreateEvent", R"({"name":"f"})").contains("created\":true"))
        return 12;
    return 0;
}

TEST_CASE("at the descriptor limit newcomers are told, those inside go on, and it recovers",
          "[alone]")
{
    CHECK(probe::in_child([] {
              try {
                  return visit_a_full_house();
              } catch (...) {
                  return 99;
              }
          }) == 0);
}

TEST_CASE("a server that can neither let anyone in nor say why rests, and goes on when it can")
{
    House house;
    auto client = house.knock();
    client.call("Status");
    {
        const DescriptorLimit none{3}; // Not even the one that it has in reserve.
        std::size_t rings = 0;
        for (int i = 0; i < 1'000; ++i)
            rings += *house.loop.run_once(0ns);
        CHECK(rings < 1'000); // Nobody rings without end.
        CHECK_FALSE(client.is_let_go());
    }
    const auto deadline = monotonic_after(20s);
    while (!is_ready(client.socket) && monotonic_now() < deadline)
        REQUIRE(house.loop.run_once(100ms));
    CHECK(client.reply().contains("\"connections\":1"));
}

TEST_CASE("a newcomer that is gone before it can be told why it is turned away is no matter")
{
    auto limits = default_limits;
    limits.set(Resource::connections, 1);
    House house{limits};
    auto inside = house.knock();
    settle(house.loop);
    {
        const auto gone = house.knock();
    }
    settle(house.loop);
    CHECK(house.service.counters().turned_away == 1);
    CHECK(house.ask(inside, "Status").contains("\"connections\":1"));
}

TEST_CASE("who cannot be told apart is not let in")
{
    House house;
    house.server.admit(*make_eventfd(0, Counter::plain)); // No socket, so it has no peer.
    while (house.service.quota().used_by_all(Resource::connections) > 0)
        REQUIRE(house.loop.run_once(20s)); // Until it is closed.
    auto client = house.knock();
    CHECK(house.ask(client, "Status").contains("\"connections\":1"));
}

TEST_CASE("a user whose clients leave descriptors unread is handed no more until they read them")
{
    auto limits = default_limits;
    limits.set(Resource::unread_descriptors, 3);
    House house{limits};
    auto lazy = house.knock();
    auto other = house.knock();
    for (const auto* name : {"a", "b"})
        house.ask(lazy, "CreateEvent", R"({"name":")"s + name + R"("})");
    lazy.call("Open", R"({"names":["a","b"]})");
    settle(house.loop);

    CHECK(house.ask(other, "Open", R"({"names":["a"]})").contains("fileDescriptor"));
    other.call("Open", R"({"names":["a","b"]})"); // Of the four only the two of `lazy` are unread.
    settle(house.loop);
    CHECK(other.reply().starts_with(
        R"({"error":"io.evfdd.QuotaExceeded","parameters":{"quota":"unreadDescriptors","limit":3,)"));

    CHECK(lazy.reply().contains("fileDescriptor"));
    CHECK(house.ask(other, "Open", R"({"names":["a","b"]})").contains("fileDescriptor"));
}

TEST_CASE("descriptors that were read in the meantime do not count")
{
    auto limits = default_limits;
    limits.set(Resource::unread_descriptors, 1);
    House house{limits};
    std::vector<Client> clients;
    for (int i = 0; i < 5; ++i)
        clients.push_back(house.knock());
    house.ask(clients.front(), "CreateEvent", R"({"name":"a"})");
    for (auto& client : clients)
        CHECK(house.ask(client, "Open", R"({"names":["a"]})").contains("fileDescriptor"));
    clients.clear();
    settle(house.loop);
    CHECK(house.service.quota().used_by_all(Resource::unread_descriptors) == 0);
}

} // namespace
} // namespace evfd::daemon
