// Descriptors that a client sends, and whose close sleeps as long as the client likes.
#include "tests/support/daemon_process.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/listener.h"
#include "tests/support/lingering.h"
#include "tests/paths.h"

#include <signal.h>
#include <sys/socket.h>

#include <cstring>

namespace evfd::e2e {
namespace {

const std::string call = R"({"method":"io.evfdd.Status"})" + "\0"s;

// Along with the bytes, which nobody may receive before this returns. Its close sleeps while what
// is returned lives.
[[nodiscard]] Lingering send_lingering(const UniqueFd& socket, std::string_view bytes,
                                       int flags = 0)
{
    Lingering lingering;
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
    lingering.leave();
    return lingering;
}

// Of a daemon at its start and after an attack; what is closed apart is closed a moment later.
bool has_again(Wire& wire, std::int64_t connections, std::int64_t descriptors)
{
    return eventually([&] {
        const auto status = wire.ask("Status")["parameters"];
        return status["connections"] == connections && status["descriptors"] == descriptors;
    });
}

TEST_CASE("a client whose descriptor lingers when it is closed is let go, and keeps nobody waiting")
{
    Daemon daemon{without_pass_rights};
    Wire neighbour{daemon.path()};
    const auto before = neighbour.ask("Status")["parameters"];
    const auto [how, prepare, flags] = GENERATE(table<std::string, std::string, int>({
        {"with its first call", "", 0},
        {"behind a call", call, 0},
        {"behind what is no call", "nothing\0"s, 0},
        {"while it waits", R"({"method":"io.evfdd.Wait","parameters":{"names":["e"]}})" + "\0"s, 0},
        {"out of band", "", MSG_OOB},
        {"out of band behind a call", call, MSG_OOB},
    }));
    CAPTURE(how);
    std::vector<Lingering> sent;
    for (int i = 0; i < 3; ++i) {
        Wire hostile{daemon.path()};
        const bool is_waiting = how == "while it waits";
        if (is_waiting) {
            hostile.send(prepare);
            REQUIRE(daemon.has_waits("e", 1));
        }
        daemon.process().stop();
        if (!is_waiting)
            hostile.send(prepare);
        sent.push_back(send_lingering(hostile.socket(), flags == MSG_OOB ? "x" : call, flags));
        daemon.process().signal(SIGCONT);
        neighbour.ask("Status");
    }
    CHECK(has_again(neighbour, 1, before["descriptors"].get<std::int64_t>()));
    CHECK_FALSE(neighbour.ask("CreateEvent", {{"name", "e"}}).contains("error"));
}

TEST_CASE("a client that is turned away keeps nobody waiting with what it sent before")
{
    const TemporaryDirectory directory;
    const auto config = directory / "some.json";
    write_file(config, R"({"limits": {"connections": 2}})");
    auto options = without_pass_rights;
    options.insert(options.end(), {"--config", config});
    Daemon daemon{options};
    Wire neighbour{daemon.path()};
    const auto before = neighbour.ask("Status")["parameters"];
    std::vector<Lingering> sent;
    {
        const Wire second{daemon.path()};
        daemon.process().stop();
        std::vector<Wire> hostile;
        for (int i = 0; i < 3; ++i)
            sent.push_back(send_lingering(hostile.emplace_back(daemon.path()).socket(), call));
        daemon.process().signal(SIGCONT);
        for (auto& wire : hostile)
            CHECK(wire.rest().contains("QuotaExceeded"));
        neighbour.ask("Status");
    }
    CHECK(has_again(neighbour, 1, before["descriptors"].get<std::int64_t>()));
}

TEST_CASE("a daemon that is told to end is not kept by what clients have sent")
{
    Daemon daemon{without_pass_rights};
    Wire waiting{daemon.path()};
    waiting.call("Wait", {{"names", {"e"}}});
    REQUIRE(daemon.has_waits("e", 1));
    const auto unread = send_lingering(waiting.socket(), call);
    daemon.process().stop();
    const Wire queued{daemon.path()};
    const auto not_accepted = send_lingering(queued.socket(), call);
    daemon.process().signal(SIGTERM);
    daemon.process().signal(SIGCONT);
    CHECK(daemon.process().wait() == 0);
}

TEST_CASE("what was sent before the daemon was started by it keeps nobody waiting")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto listener = listen_at(path);
    const Wire first{path};
    const auto sent = send_lingering(first.socket(), call);
    const auto daemon =
        start_daemon(directory, {.words = {EVFDD_DAEMON}, .passed = {listener.get()}});

    Wire neighbour{path};
    const auto status = neighbour.ask("Status");

    CHECK(status["parameters"]["pid"] == daemon.pid());
    CHECK(eventually(
        [&] { return neighbour.ask("Status")["parameters"]["connections"].get<int>() == 1; }));
    CHECK(read_file(directory / "log").contains("it sends descriptors"));
}

TEST_CASE("a daemon that cannot read its configuration is not kept by what was sent before")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto config = directory / "some.json";
    write_file(config, "{");
    const auto listener = listen_at(path);
    std::vector<Wire> clients;
    std::vector<Lingering> sent;
    for (int i = 0; i < 2; ++i)
        sent.push_back(send_lingering(clients.emplace_back(path).socket(), call));

    auto daemon = start({.words = {EVFDD_DAEMON, "--config", config}, .passed = {listener.get()}});

    CHECK(daemon.wait() == 78);
    for (auto& client : clients)
        CHECK(client.rest().contains("cannot read its configuration"));
}

TEST_CASE("a daemon looks for descriptors before a read only where there may be any")
{
    skip_unless_strace();
    const auto options = GENERATE(values<std::vector<std::string>>({{}, without_pass_rights}));
    const bool are_refused = are_descriptors_refused(options);
    const Daemon daemon{options};
    Wire wire{daemon.path()};
    wire.ask("Status");
    const auto calls = traced(daemon, [&] {
        for (int i = 0; i < 5; ++i)
            wire.ask("CreateEvent", {{"name", "e"}});
    });
    const auto count = [&](std::string_view what) {
        return std::ranges::count_if(calls, [&](const auto& line) { return line.contains(what); });
    };
    CHECK(count("recvfrom(") == 5);
    CHECK(count("MSG_PEEK") == (are_refused ? 0 : 5));
}

} // namespace
} // namespace evfd::e2e
