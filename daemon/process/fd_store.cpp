#include "daemon/process/fd_store.h"

#include "daemon/process/supervisor.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>

namespace evfd::daemon {

namespace {

constexpr std::chrono::seconds patience{5}; // Until it has what it was given.

// The vault's descriptors, where a Notifier tells of them.
class Store {
public:
    explicit Store(const Notifier& notifier) : notifier_{notifier} {}

    void forget(std::string_view name) const
    {
        notifier_.tell(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
    }
    void keep(int fd, std::string_view name) const
    {
        // It is not to drop what it takes for closed at the other end. sd_notify(3)
        if (!notifier_.tell(fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name), fd))
            log::warn("'{}' cannot be given to who is to keep it", name);
    }
    std::size_t room_for(std::size_t wanted) const;

private:
    const Notifier& notifier_;
};

// Of so many descriptors, how many it keeps: it does not say, but the pipe of one that it does not
// keep is at its end.
std::size_t Store::room_for(std::size_t wanted) const
{
    constexpr std::string_view name = "evfdd-probe";
    std::vector<UniqueFd> probes;
    for (std::size_t i = 0; i < wanted; ++i) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) < 0)
            return 0;
        probes.emplace_back(ends[0]);
        const UniqueFd written{ends[1]};
        keep(written.get(), name);
    }
    if (!notifier_.await_read(patience))
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
        } else if (name == guard_descriptor) {
            handed.guard = std::move(fd);
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

Guardian give_to_guardian(const Notifier& notifier, const Vault& vault,
                          const std::array<bool, Vault::names.size()>& which)
{
    const auto guardian = notifier.guardian();
    const auto wanted = static_cast<std::size_t>(std::ranges::count(which, true));
    if (guardian == Guardian::none || wanted == 0)
        return guardian;
    const Store store{notifier};
    for (std::size_t i = 0; i < which.size(); ++i)
        if (which[i]) // What it has of that name cannot be taken over.
            store.forget(Vault::names[i]);
    if (const auto missing = wanted - store.room_for(wanted); missing > 0) {
        log::warn("{} keeps {} of the {} descriptors that are to outlive evfdd, so a crash would "
                  "lose all objects; set FileDescriptorStoreMax={} or more for the service",
                  word(guardian), which.size() - missing, which.size(), which.size());
        for (const auto name : Vault::names)
            store.forget(name); // A part of them is of no use.
        return Guardian::none;
    }
    const auto descriptors = vault.descriptors();
    for (std::size_t i = 0; i < descriptors.size(); ++i)
        if (which[i])
            store.keep(descriptors[i], Vault::names[i]);
    // It must have them before the first answer goes out.
    if (!notifier.await_read(patience))
        log::warn("who is to keep the vault does not answer: a crash may lose all");
    return guardian;
}

} // namespace evfd::daemon
