// Tests of attacks by many connections, by bytes that are not calls, and by unwanted descriptors.
#include "tests/e2e/attack/attack.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/listener.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace evfd::e2e {
namespace {

constexpr int connection_count = is_sanitized ? 300 : 1'000;

std::vector<UniqueFd> connect_many(const DaemonProcess& daemon, int count)
{
    std::vector<UniqueFd> all;
    for (int i = 0; i < count; ++i)
        all.push_back(connect_to_path(daemon.path()));
    return all;
}

// Sends all bytes. Returns false if the peer has closed the connection.
bool send_all(const UniqueFd& socket, std::string_view bytes)
{
    while (!bytes.empty()) {
        const auto sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (sent < 0)
            fail("send(2)");
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

// Waits for `span` by polling the socket that connects this worker to the test. The test sends
// nothing, so the poll ends only after `span`.
void pause_for(const WorkerSocket& parent, nanoseconds span)
{
    await_readable(parent.fd().get(), span);
}

TEST_CASE("a thousand silent connections do not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    check_withstands(daemon, "a thousand silent connections", [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            const auto silent = connect_many(daemon, connection_count);
            pause_for(parent, 500ms);
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("a thousand connections that send one byte a second do not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    // Each connection sends a call slowly, with one byte per second.
    check_withstands(daemon, "a thousand connections with a byte a second", [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            const auto slow = connect_many(daemon, connection_count);
            const auto call = call_text("Status", Json::object());
            constexpr int steps = 50;
            for (const char byte : call.substr(0, 2))
                for (int step = 0; step < steps; ++step) {
                    for (int i = step; i < connection_count; i += steps)
                        require(send_all(slow[static_cast<std::size_t>(i)], {&byte, 1}),
                                "the daemon disconnected the client");
                    pause_for(parent, nanoseconds{1s} / steps);
                }
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("frames of nothing but brackets do not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    // The daemon disconnects a client that sends nested brackets. The attacker then connects again.
    check_withstands(daemon, "64 KiB frames of nested brackets", [&] {
        Worker worker = start_attacker([&](const WorkerSocket&) {
            const std::string frame = std::string(65'535, '[') + '\0';
            const auto end = monotonic_deadline(1s);
            while (monotonic_now() < end) {
                const auto socket = connect_to_path(daemon.path());
                while (monotonic_now() < end && send_all(socket, frame)) {
                }
            }
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("a gibibyte of zero bytes does not disturb another client")
{
    skip_unless_root();
    const DaemonProcess daemon;
    // Each zero byte ends a message, so the attacker sends empty messages. An empty message is not
    // a call, so the daemon disconnects the attacker, which connects again. The attack ends after a
    // gibibyte, or when its time is over.
    check_withstands(daemon, "a gibibyte of zero bytes", [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            const std::string zeros(1 << 18, '\0');
            std::uint64_t connections = 0, kibibytes = 0;
            const auto end = monotonic_deadline(1s);
            while (kibibytes < (1 << 20) && monotonic_now() < end) {
                const auto socket = connect_to_path(daemon.path());
                ++connections;
                while (monotonic_now() < end) {
                    const auto sent =
                        ::send(socket.get(), zeros.data(), zeros.size(), MSG_NOSIGNAL);
                    if (sent < 0)
                        break;
                    kibibytes += static_cast<std::uint64_t>(sent) >> 10;
                }
            }
            parent.send(connections);
            parent.send(kibibytes);
        });
        const auto connections = worker.receive();
        report(fmt::format("  {} MiB of zero bytes on {} connections", worker.receive() >> 10,
                           connections));
        CHECK(connections > 1);
        CHECK(worker.wait() == 0);
    });
}

// Sends the bytes with the descriptors. Returns false if the kernel refuses to send the
// descriptors.
bool send_with_descriptors(const UniqueFd& socket, std::string_view bytes,
                           const std::vector<int>& descriptors)
{
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size() * sizeof(int));
    const auto sent = ::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno != EPERM && errno != ETOOMANYREFS)
        fail("sendmsg(2)");
    return sent == static_cast<ssize_t>(bytes.size());
}

enum class PassedKind { many, epolls, listener };

TEST_CASE("descriptors of any kind sent with calls do not disturb another client")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const auto path = directory / "listener";
    // The daemon inherits this listening socket, and the attacker sends a descriptor of it to the
    // daemon.
    const auto listener = listen_at(path);
    const auto options = GENERATE(values<std::vector<std::string>>({{}, without_pass_rights}));
    CAPTURE(options);
    const DaemonProcess daemon{options, {.argv = {}, .inherited_fds = {listener.get()}}};
    const auto [what, sent] = GENERATE(table<std::string, PassedKind>({
        {"253 descriptors with every call", PassedKind::many},
        {"epolls that hold the connection itself", PassedKind::epolls},
        {"the listening socket itself", PassedKind::listener},
    }));

    check_withstands(daemon, what, [&] {
        Worker worker = start_attacker([&](const WorkerSocket& parent) {
            const auto call = call_text("Status", Json::object());
            std::uint64_t refusals = 0, calls = 0;
            const auto end = monotonic_deadline(700ms);
            while (monotonic_now() < end) {
                WireClient wire{sent == PassedKind::listener && calls % 2 == 0 ? path
                                                                               : daemon.path()};
                std::vector<UniqueFd> fds;
                for (int i = 0; i < 253; ++i) {
                    if (sent == PassedKind::many) {
                        fds.emplace_back(::eventfd(0, EFD_CLOEXEC));
                    } else if (sent == PassedKind::epolls) {
                        fds.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
                        epoll_event wanted{};
                        wanted.events = EPOLLIN | EPOLLOUT;
                        const auto& inside =
                            i % 2 == 0 ? wire.socket() : fds[fds.size() - (i > 0 ? 2 : 1)];
                        (void)::epoll_ctl(fds.back().get(), EPOLL_CTL_ADD, inside.get(), &wanted);
                    } else {
                        fds.emplace_back(::dup(i % 2 == 0 ? listener.get() : wire.socket().get()));
                    }
                }
                std::vector<int> numbers;
                for (const auto& one : fds)
                    numbers.push_back(one.get());
                for (int i = 0; i < 50; ++i, ++calls) {
                    if (send_with_descriptors(wire.socket(), call, numbers)) {
                        require(wire.read_to_end().empty(), "a call with descriptors was answered");
                        ++calls;
                        break;
                    }
                    ++refusals;
                    wire.send(call);
                    require(wire.reply()["parameters"]["descriptors"].get<int>() < 100,
                            "the daemon keeps descriptors that it received");
                }
                require(wire.descriptors().empty(), "descriptors came back");
            }
            parent.send(calls);
            parent.send(refusals);
        });
        const auto calls = worker.receive();
        const auto refusals = worker.receive();
        report(fmt::format("  {}: {} calls, the kernel refused the descriptors of {}", what, calls,
                           refusals));
        CHECK(calls > 0);
        CHECK((refusals == calls) == are_descriptors_refused(options));
        CHECK(worker.wait() == 0);
    });
}

} // namespace
} // namespace evfd::e2e
