#include "daemon/guardian.h"

#include "daemon/guard.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace evfd::daemon {

namespace {

// How many descriptors systemd says it keeps for us; nothing where it does not say (before 254).
std::optional<std::size_t> store_size()
{
    const char* text = std::getenv("FDSTORE");
    if (!text)
        return {};
    std::size_t size = 0;
    std::from_chars(text, text + std::strlen(text), size);
    return size;
}

void store(int fd, std::string_view name)
{
    const auto removal = fmt::format("FDSTOREREMOVE=1\nFDNAME={}", name);
    ::sd_notify(0, removal.c_str());
    // It is not to drop what it takes for closed at the other end. sd_notify(3)
    const auto state = fmt::format("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name);
    if (::sd_pid_notify_with_fds(0, 0, state.c_str(), &fd, 1) < 0)
        spdlog::warn("'{}' cannot be given to who is to keep it", name);
}

// Who keeps what it is given.
Guardian present_guardian()
{
    if (std::getenv(guard_variable))
        return Guardian::guard;
    if (!std::getenv("NOTIFY_SOCKET") || !std::getenv("INVOCATION_ID")) // systemd.exec(5)
        return Guardian::none;
    const auto size = store_size();
    if (!size || *size >= Vault::names.size())
        return Guardian::systemd;
    spdlog::warn("systemd keeps {} descriptors for this service and {} are needed: a crash would "
                 "lose all; set FileDescriptorStoreMax={} for it",
                 *size, Vault::names.size(), Vault::names.size());
    return Guardian::none;
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
    if (guardian == Guardian::none || std::ranges::count(which, true) == 0)
        return guardian;
    const auto descriptors = vault.descriptors();
    for (std::size_t i = 0; i < descriptors.size(); ++i)
        if (which[i])
            store(descriptors[i], Vault::names[i]);
    // It must have them before the first answer goes out.
    constexpr std::uint64_t patience_usec = 5'000'000;
    if (::sd_notify_barrier(0, patience_usec) < 0)
        spdlog::warn("who is to keep the vault does not answer: a crash may lose all");
    return guardian;
}

} // namespace evfd::daemon
