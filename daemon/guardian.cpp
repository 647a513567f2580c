#include "daemon/guardian.h"

#include "daemon/guard.h"
#include "daemon/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

namespace evfd::daemon {

namespace {

constexpr std::uint64_t patience_usec = 5'000'000; // Until it has what it was given.

// Whose the notification socket is.
Guardian present_guardian()
{
    if (std::getenv(guard_variable))
        return Guardian::guard;
    const bool is_service = std::getenv("NOTIFY_SOCKET") && std::getenv("INVOCATION_ID");
    return is_service ? Guardian::systemd : Guardian::none; // systemd.exec(5)
}

void forget(std::string_view name)
{
    ::sd_notify(0, fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name).c_str());
}

void store(int fd, std::string_view name)
{
    // It is not to drop what it takes for closed at the other end. sd_notify(3)
    const auto state = fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name);
    if (::sd_pid_notify_with_fds(0, 0, state.c_str(), &fd, 1) < 0)
        log::warn("'{}' cannot be given to who is to keep it", name);
}

// Of so many descriptors, how many it keeps: it does not say, but the pipe of one that it does not
// keep is at its end.
std::size_t kept_of(std::size_t wanted)
{
    constexpr std::string_view name = "evfdd-probe";
    std::vector<UniqueFd> probes;
    for (std::size_t i = 0; i < wanted; ++i) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) < 0)
            return 0;
        probes.emplace_back(ends[0]);
        const UniqueFd written{ends[1]};
        store(written.get(), name);
    }
    if (::sd_notify_barrier(0, patience_usec) < 0)
        return 0;
    const auto kept = std::ranges::count_if(probes, [](const UniqueFd& probe) {
        pollfd end{probe.get(), 0, 0};
        return ::poll(&end, 1, 0) == 0;
    });
    forget(name);
    return static_cast<std::size_t>(kept);
}

} // namespace

bool HandedOver::has_vault() const
{
    return std::ranges::any_of(vault, [](const UniqueFd& fd) { return static_cast<bool>(fd); });
}

HandedOver take_handed_over()
{
    HandedOver handed;
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        UniqueFd fd{SD_LISTEN_FDS_START + i};
        const std::string_view name{names[i]};
        const auto part = std::ranges::find(Vault::names, name);
        if (part != Vault::names.end()) {
            handed.vault[static_cast<std::size_t>(part - Vault::names.begin())] = std::move(fd);
        } else if (::sd_is_socket_unix(fd.get(), SOCK_STREAM, 1, nullptr, 0) > 0) {
            ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
            handed.sockets.push_back(std::move(fd));
        } else if (::sd_is_socket_unix(fd.get(), SOCK_STREAM, 0, nullptr, 0) > 0) {
            ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
            handed.clients.push_back(std::move(fd));
        } else {
            handed.complaints.push_back(
                fmt::format("'{}' of LISTEN_FDS is no listening Unix stream socket, and no part of "
                            "the vault: it is closed",
                            name));
        }
    }
    for (int i = 0; i < count; ++i)
        std::free(names[i]);
    std::free(names);
    return handed;
}

Guardian give_to_guardian(const Vault& vault, const std::array<bool, Vault::names.size()>& which)
{
    const auto guardian = present_guardian();
    const auto wanted = static_cast<std::size_t>(std::ranges::count(which, true));
    if (guardian == Guardian::none || wanted == 0)
        return guardian;
    for (std::size_t i = 0; i < which.size(); ++i)
        if (which[i]) // What it has of that name cannot be taken over.
            forget(Vault::names[i]);
    if (const auto missing = wanted - kept_of(wanted); missing > 0) {
        log::warn("{} keeps {} of the {} descriptors that are to outlive evfdd, so a crash would "
                  "lose all objects; set FileDescriptorStoreMax={} or more for the service",
                  word(guardian), which.size() - missing, which.size(), which.size());
        for (const auto name : Vault::names)
            forget(name); // A part of them is of no use.
        return Guardian::none;
    }
    const auto descriptors = vault.descriptors();
    for (std::size_t i = 0; i < descriptors.size(); ++i)
        if (which[i])
            store(descriptors[i], Vault::names[i]);
    // It must have them before the first answer goes out.
    if (::sd_notify_barrier(0, patience_usec) < 0)
        log::warn("who is to keep the vault does not answer: a crash may lose all");
    return guardian;
}

} // namespace evfd::daemon
