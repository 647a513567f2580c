#include "tests/bench/peers/broker.h"

#include "tests/support/unix_address.h"

#include <sys/socket.h>

#include <array>
#include <cstdint>

namespace evfd::bench {

namespace {

std::pair<UniqueFd, UniqueFd> make_ends()
{
    std::array<int, 2> ends{};
    e2e::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0,
                 "socketpair(2)");
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

Bus connect_bus(UniqueFd socket)
{
    sd_bus* bus = nullptr;
    e2e::require(::sd_bus_new(&bus) >= 0, "sd_bus_new(3)");
    Bus owned{bus};
    const int fd = socket.get();
    e2e::require(::sd_bus_set_fd(bus, fd, fd) >= 0, "sd_bus_set_fd(3)");
    (void)socket.release(); // `bus` owns the descriptor from here on.
    e2e::require(::sd_bus_start(bus) >= 0, "sd_bus_start(3)");
    return owned;
}

UniqueFd listen_at(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    e2e::require(bind_path(socket, path) == 0 && ::listen(socket.get(), SOMAXCONN) == 0, path);
    return socket;
}

// The D-Bus type signature of a policy. The policy in listen() allows all users to connect, to own
// any name, and to send and receive any message. A rule has a verdict, a priority and a pattern of
// the names or messages to which the rule applies. The policy has one rule of each kind for all
// users, and no rule for single users.
constexpr auto policy = "(a(u(bta(btbs)a(btssssuutt)a(btssssuutt)))"
                        "a(buu(bta(btbs)a(btssssuutt)a(btssssuutt)))"
                        "a(ss)bs)";

} // namespace

Broker::Broker() : Broker{make_ends()} {}

Broker::Broker(std::pair<UniqueFd, UniqueFd> ends)
    : path_{directory_ / "socket"},
      process_{e2e::start({.argv = {"/usr/bin/dbus-broker", "--controller", "3", "--machine-id",
                                    "0123456789abcdef0123456789abcdef"},
                           .inherited_fds = {ends.second.get()}})},
      controller_{connect_bus(std::move(ends.first))}
{
    listen();
}

void Broker::listen()
{
    const auto socket = listen_at(path_);
    sd_bus_message* call = nullptr;
    e2e::require(::sd_bus_message_new_method_call(controller_.get(), &call, nullptr,
                                                  "/org/bus1/DBus/Broker", "org.bus1.DBus.Broker",
                                                  "AddListener") >= 0,
                 "sd_bus_message_new_method_call(3)");
    const std::unique_ptr<sd_bus_message, decltype(&::sd_bus_message_unref)> owned{
        call, ::sd_bus_message_unref};
    constexpr auto all_users = ~std::uint32_t{0};
    constexpr std::uint64_t counts = 1;
    constexpr std::uint64_t no_descriptor = 0;
    constexpr auto any_number = ~std::uint64_t{0};
    const int built = ::sd_bus_message_append(
        call, "ohv", "/org/bus1/DBus/Listener/0", socket.get(), policy, //
        1, all_users, 1, counts,                                        // Who may connect.
        1, 1, counts, 1, "",                                            // Who may own a bus name.
        1, 1, counts, "", "", "", "", 0, 0, no_descriptor, any_number,  // Who may send messages.
        1, 1, counts, "", "", "", "", 0, 0, no_descriptor, any_number,  // Who may receive messages.
        0, 0, 0, "");
    e2e::require(built >= 0, "sd_bus_message_append(3)");
    sd_bus_error error{};
    const int added = ::sd_bus_call(controller_.get(), call, 0, &error, nullptr);
    const std::string why = error.message ? error.message : "dbus-broker does not listen";
    ::sd_bus_error_free(&error);
    e2e::require(added >= 0, why);
}

} // namespace evfd::bench
