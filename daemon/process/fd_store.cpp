#include "daemon/process/fd_store.h"

#include "daemon/base/log.h"
#include "daemon/process/supervisor.h"

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

// The time within which the fd store must read the descriptors that were sent to it.
constexpr std::chrono::seconds reply_timeout{5};

void remove(const Notifier& notifier, std::string_view name)
{
    notifier.notify(fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name));
}

void store(const Notifier& notifier, int fd, std::string_view name)
{
    // FDPOLL=0 keeps systemd from dropping a descriptor whose other end is closed. sd_notify(3)
    if (!notifier.notify(fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name), fd))
        log::warn({}, "'{}' cannot be sent to the fd store", name);
}

// Returns how many of `wanted` descriptors the fd store accepts. The fd store does not report this
// number, so the function sends the write ends of pipes. If the fd store closes a write end instead
// of storing it, poll(2) reports the hangup at the read end.
std::size_t probe_capacity(const Notifier& notifier, std::size_t wanted)
{
    constexpr std::string_view name = "evfdd-probe";
    std::vector<UniqueFd> probes;
    for (std::size_t i = 0; i < wanted; ++i) {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) < 0)
            return 0;
        probes.emplace_back(ends[0]);
        const UniqueFd written{ends[1]};
        store(notifier, written.get(), name);
    }
    if (!notifier.await_read(reply_timeout))
        return 0;
    const auto stored = std::ranges::count_if(probes, [](const UniqueFd& probe) {
        pollfd end{probe.get(), 0, 0};
        return ::poll(&end, 1, 0) == 0;
    });
    remove(notifier, name);
    return static_cast<std::size_t>(stored);
}

} // namespace

bool InheritedFds::has_state_store() const
{
    return std::ranges::any_of(state_store,
                               [](const UniqueFd& fd) { return static_cast<bool>(fd); });
}

InheritedFds take_inherited_fds()
{
    InheritedFds inherited;
    char** names = nullptr;
    const int count = ::sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < count; ++i) {
        UniqueFd fd{SD_LISTEN_FDS_START + i};
        const std::string_view name{names[i]};
        const auto part = std::ranges::find(StateStore::fd_names, name);
        if (part != StateStore::fd_names.end()) {
            inherited.state_store[static_cast<std::size_t>(part - StateStore::fd_names.begin())] =
                std::move(fd);
        } else if (name == supervisor_fd_name) {
            inherited.supervisor = std::move(fd);
        } else if (::sd_is_socket_unix(fd.get(), SOCK_STREAM, 1, nullptr, 0) > 0) {
            ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
            inherited.sockets.push_back(std::move(fd));
        } else if (::sd_is_socket_unix(fd.get(), SOCK_STREAM, 0, nullptr, 0) > 0) {
            ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
            inherited.clients.push_back(std::move(fd));
        } else {
            inherited.warnings.push_back(
                fmt::format("'{}' of LISTEN_FDS is neither a Unix stream socket nor a part of the "
                            "state store: it was closed",
                            name));
        }
    }
    for (int i = 0; i < count; ++i)
        std::free(names[i]);
    std::free(names);
    return inherited;
}

FdStore store_fds(const Notifier& notifier, const StateStore& state_store,
                  const std::array<bool, StateStore::fd_names.size()>& which)
{
    const auto fd_store = notifier.fd_store();
    const auto wanted = static_cast<std::size_t>(std::ranges::count(which, true));
    if (fd_store == FdStore::none || wanted == 0)
        return fd_store;
    for (std::size_t i = 0; i < which.size(); ++i)
        // If the fd store has an old descriptor of this name, that descriptor is unusable. The fd
        // store must remove it before a new descriptor is stored.
        if (which[i])
            remove(notifier, StateStore::fd_names[i]);
    if (const auto missing = wanted - probe_capacity(notifier, wanted); missing > 0) {
        log::warn({},
                  "{} accepts {} of the {} descriptors of the state store, so a crash would lose "
                  "all objects; set FileDescriptorStoreMax={} or more for the service",
                  to_string(fd_store), which.size() - missing, which.size(), which.size());
        for (const auto name : StateStore::fd_names)
            remove(notifier, name); // Removes all four descriptors: some are useless alone.
        return FdStore::none;
    }
    const auto descriptors = state_store.descriptors();
    for (std::size_t i = 0; i < descriptors.size(); ++i)
        if (which[i])
            store(notifier, descriptors[i], StateStore::fd_names[i]);
    // The fd store must have the descriptors before the first reply is sent.
    if (!notifier.await_read(reply_timeout))
        log::warn({}, "the fd store does not respond: a crash may lose all objects");
    return fd_store;
}

} // namespace evfd::daemon
