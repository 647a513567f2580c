#include "tests/fuzz/crash_state.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace evfd::daemon {

namespace {

void replace(int fd, const UniqueFd& by)
{
    expect(::dup3(by.get(), fd, O_CLOEXEC) == fd, "a descriptor takes another's place");
}

// Of the slip, most of which is never used, what is.
template <class Do>
void for_each_used_part(const UniqueFd& memfd, const Do& act)
{
    off_t at = 0;
    while ((at = ::lseek(memfd.get(), at, SEEK_DATA)) >= 0) {
        const auto end = ::lseek(memfd.get(), at, SEEK_HOLE);
        expect(act(at, static_cast<std::size_t>(end - at)) == end - at,
               "the slip can be read and written");
        at = end;
    }
}

std::string contents(const UniqueFd& memfd)
{
    std::string bytes(static_cast<std::size_t>(::lseek(memfd.get(), 0, SEEK_END)), '\0');
    for_each_used_part(memfd, [&](off_t at, std::size_t size) {
        return ::pread(memfd.get(), bytes.data() + at, size, at);
    });
    return bytes;
}

void restore(const UniqueFd& memfd, const std::string& bytes)
{
    for_each_used_part(memfd, [&](off_t at, std::size_t size) {
        return ::pwrite(memfd.get(), bytes.data() + at, size, at);
    });
}

} // namespace

Vault::Descriptors killed(std::unique_ptr<World> world)
{
    auto kept = kept_of(world->vault);
    const auto notes = contents(kept[3]);

    const auto descriptors = world->vault.descriptors();
    auto [dead_end, other_dead_end] = socket_pair(SOCK_SEQPACKET);
    replace(descriptors[0], dead_end);
    replace(descriptors[1], other_dead_end);
    replace(descriptors[2], fuzz::memfd_of(""));
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    for (auto& [name, object] : world->service.registry().objects()) {
        if (const auto* own = object.event())
            replace(own->fd().get(), event);
        if (const auto* pulse = object.pulse())
            for (const auto& [token, subscription] : pulse->followers().all())
                replace(subscription.fd.get(), event);
    }
    world.reset();
    restore(kept[3], notes); // The slip is mapped: what the end noted is there.
    return kept;
}

std::map<std::uint64_t, Remains> remains_of(World& world)
{
    std::map<std::uint64_t, Remains> remains;
    for (auto& [name, object] : world.service.registry().objects()) {
        if (!object.is_kept)
            continue;
        std::size_t followers = 0;
        if (const auto* all = object.followers())
            for (const auto& [token, subscription] : all->all())
                followers += subscription.is_kept ? 1 : 0;
        remains.emplace(object.serial,
                        Remains{object.mode(), object.ownership.owner, object.ownership.rights,
                                object.session, object.pulse() ? object.pulse()->pulses() : 0,
                                followers});
    }
    return remains;
}

std::map<std::uint64_t, std::uint64_t> tokens_of(World& world)
{
    std::map<std::uint64_t, std::uint64_t> tokens;
    for (auto& [name, object] : world.service.registry().objects())
        if (auto* event = object.event(); event && object.is_kept)
            if (const auto count = event->count())
                tokens.emplace(object.serial, *count);
    return tokens;
}

} // namespace evfd::daemon
