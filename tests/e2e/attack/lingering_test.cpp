// Tests of calls with descriptors that make the daemon's close(2) sleep: TCP sockets with
// SO_LINGER. The sender decides how long close(2) sleeps.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/lingering.h"
#include "tests/support/listener.h"

#include <signal.h>
#include <sys/socket.h>

#include <cstring>

namespace evfd::e2e {
namespace {

const std::string call = R"({"method":"io.evfdd.Status"})" + "\0"s;

// Sends the bytes together with a descriptor of a TCP socket, and closes this process's own
// descriptor of the TCP socket. Only the close(2) of the last descriptor sleeps, and it sleeps
// while the returned object lives. The last descriptor must be the receiver's. The receiver must
// therefore not receive the message before this function returns.
[[nodiscard]] LingeringSocket send_lingering(const UniqueFd& socket, std::string_view bytes,
                                             int flags = 0)
{
    LingeringSocket lingering;
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = lingering.fd().get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    if (::sendmsg(socket.get(), &message, flags | MSG_NOSIGNAL) < 0)
        fail("sendmsg(2)");
    lingering.close_sender();
    return lingering;
}

// Waits until the daemon has as many connections and descriptors as the arguments say. Returns
// false if that takes too long. The daemon closes some descriptors in a child process, which takes
// a while.
bool returns_to(WireClient& wire, std::int64_t connections, std::int64_t descriptors)
{
    return poll_until([&] {
        const auto status = wire.request("Status")["parameters"];
        return status["connections"] == connections && status["descriptors"] == descriptors;
    });
}

TEST_CASE("a client that sends a lingering descriptor is disconnected and delays nobody")
{
    DaemonProcess daemon{without_pass_rights};
    WireClient other_client{daemon.path()};
    const auto before = other_client.request("Status")["parameters"];
    const auto [how, prepare, flags] = GENERATE(table<std::string, std::string, int>({
        {"with its first call", "", 0},
        {"behind a call", call, 0},
        {"behind what is no call", "nothing\0"s, 0},
        {"while it waits",
         R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"e"}]}})" + "\0"s, 0},
        {"out of band", "", MSG_OOB},
        {"out of band behind a call", call, MSG_OOB},
    }));
    CAPTURE(how);
    std::vector<LingeringSocket> sent;
    for (int i = 0; i < 3; ++i) {
        WireClient attacker{daemon.path()};
        const bool is_waiting = how == "while it waits";
        if (is_waiting) {
            attacker.send(prepare);
            REQUIRE(daemon.has_waits("e", 1));
        }
        daemon.process().stop();
        if (!is_waiting)
            attacker.send(prepare);
        sent.push_back(send_lingering(attacker.socket(), flags == MSG_OOB ? "x" : call, flags));
        daemon.process().signal(SIGCONT);
        other_client.request("Status");
    }
    CHECK(returns_to(other_client, 1, before["descriptors"].get<std::int64_t>()));
    CHECK_FALSE(other_client.request("CreateEvent", {{"name", "e"}}).contains("error"));
}

TEST_CASE("a rejected client delays nobody with the descriptors that it sent before")
{
    const TemporaryDirectory directory;
    const auto config = directory / "some.json";
    write_file(config, R"({"limits": {"connections": 2}})");
    auto options = without_pass_rights;
    options.insert(options.end(), {"--config", config});
    DaemonProcess daemon{options};
    WireClient other_client{daemon.path()};
    const auto before = other_client.request("Status")["parameters"];
    std::vector<LingeringSocket> sent;
    {
        const WireClient second{daemon.path()};
        daemon.process().stop();
        std::vector<WireClient> attacker;
        for (int i = 0; i < 3; ++i)
            sent.push_back(send_lingering(attacker.emplace_back(daemon.path()).socket(), call));
        daemon.process().signal(SIGCONT);
        for (auto& wire : attacker)
            CHECK(wire.read_to_end().contains("QuotaExceeded"));
        other_client.request("Status");
    }
    CHECK(returns_to(other_client, 1, before["descriptors"].get<std::int64_t>()));
}

TEST_CASE("a daemon that is asked to exit is not delayed by unread descriptors")
{
    DaemonProcess daemon{without_pass_rights};
    WireClient waiting{daemon.path()};
    waiting.call("Wait", {{"items", items({"e"})}});
    REQUIRE(daemon.has_waits("e", 1));
    const auto unread = send_lingering(waiting.socket(), call);
    daemon.process().stop();
    const WireClient queued{daemon.path()};
    const auto not_accepted = send_lingering(queued.socket(), call);
    daemon.process().signal(SIGTERM);
    daemon.process().signal(SIGCONT);
    CHECK(daemon.process().wait() == 0);
}

TEST_CASE("a daemon started by a connection is not delayed by descriptors sent before its start")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto listener = listen_at(path);
    const WireClient first{path};
    const auto sent = send_lingering(first.socket(), call);
    const auto daemon =
        start_daemon(directory, {.argv = {EVFDD_DAEMON}, .inherited_fds = {listener.get()}});

    WireClient other_client{path};
    const auto status = other_client.request("Status");

    CHECK(status["parameters"]["pid"] == daemon.pid());
    CHECK(poll_until([&] {
        return other_client.request("Status")["parameters"]["connections"].get<int>() == 1;
    }));
    CHECK(read_file(directory / "log").contains("it sent descriptors"));
}

TEST_CASE(
    "a daemon with an invalid configuration exits without delay despite descriptors sent before")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto config = directory / "some.json";
    write_file(config, "{");
    const auto listener = listen_at(path);
    std::vector<WireClient> clients;
    std::vector<LingeringSocket> sent;
    for (int i = 0; i < 2; ++i)
        sent.push_back(send_lingering(clients.emplace_back(path).socket(), call));

    auto daemon =
        start({.argv = {EVFDD_DAEMON, "--config", config}, .inherited_fds = {listener.get()}});

    CHECK(daemon.wait() == 78);
    for (auto& client : clients)
        CHECK(client.read_to_end().contains("cannot read its configuration"));
}

TEST_CASE("a daemon peeks for descriptors before a read only when it cannot refuse them")
{
    skip_unless_strace();
    const auto options = GENERATE(values<std::vector<std::string>>({{}, without_pass_rights}));
    const bool are_refused = are_descriptors_refused(options);
    const DaemonProcess daemon{options};
    WireClient wire{daemon.path()};
    wire.request("Status");
    const auto calls = trace_system_calls(daemon, [&] {
        for (int i = 0; i < 5; ++i)
            wire.request("CreateEvent", {{"name", "e"}});
    });
    const auto count = [&](std::string_view what) {
        return std::ranges::count_if(calls, [&](const auto& line) { return line.contains(what); });
    };
    CHECK(count("recvfrom(") == 5);
    CHECK(count("MSG_PEEK") == (are_refused ? 0 : 5));
}

} // namespace
} // namespace evfd::e2e
