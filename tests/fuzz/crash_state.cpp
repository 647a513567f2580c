#include "tests/fuzz/crash_state.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace evfd::daemon {

namespace {

void replace_fd(int fd, const UniqueFd& replacement)
{
    expect(::dup3(replacement.get(), fd, O_CLOEXEC) == fd, "a descriptor is replaced");
}

// Returns a copy of the memfd. A hole of the file becomes a hole of the copy: most of the progress
// page is a hole, and so is the room that the journal has reserved.
UniqueFd copy_of(const UniqueFd& memfd)
{
    const auto size = ::lseek(memfd.get(), 0, SEEK_END);
    auto copy = fuzz::make_memfd("");
    expect(::ftruncate(copy.get(), size) == 0, "a memfd can be copied");
    off_t at = 0;
    while ((at = ::lseek(memfd.get(), at, SEEK_DATA)) >= 0) {
        const auto end = ::lseek(memfd.get(), at, SEEK_HOLE);
        std::string bytes(static_cast<std::size_t>(end - at), '\0');
        expect(::pread(memfd.get(), bytes.data(), bytes.size(), at) == end - at &&
                   ::pwrite(copy.get(), bytes.data(), bytes.size(), at) == end - at,
               "a memfd can be copied");
        at = end;
    }
    expect(errno == ENXIO, "a memfd can be copied"); // No data follows.
    return copy;
}

} // namespace

StateStore::Descriptors crash(std::unique_ptr<DaemonInstance> instance)
{
    auto inherited = stored_fds_of(instance->state_store);
    // The journal and the progress page are shared memory, which the destructors of the instance
    // change: for example, the end of a session with held tokens commits. The next daemon therefore
    // gets copies.
    inherited[2] = copy_of(inherited[2]);
    inherited[3] = copy_of(inherited[3]);

    const auto descriptors = instance->state_store.descriptors();
    auto [dead_end, other_dead_end] = socket_pair(SOCK_SEQPACKET);
    replace_fd(descriptors[0], dead_end);
    replace_fd(descriptors[1], other_dead_end);
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    for (auto& [name, object] : instance->service.registry().objects.all()) {
        if (const auto* counter = object.event(); counter && counter->has_descriptor())
            replace_fd(counter->fd().get(), event);
        if (const auto* pulse = object.pulse())
            for (const auto& [token, subscription] : pulse->subscriptions().all())
                replace_fd(subscription.fd().get(), event);
    }
    instance.reset();
    return inherited;
}

std::map<std::uint64_t, PersistedObject> persisted_objects(DaemonInstance& instance)
{
    std::map<std::uint64_t, PersistedObject> persisted;
    for (auto& [name, object] : instance.service.registry().objects.all()) {
        if (!object.is_persistent)
            continue;
        std::size_t subscriptions = 0;
        if (const auto* table = object.subscriptions())
            for (const auto& [token, subscription] : table->all())
                subscriptions += subscription.is_persistent() ? 1 : 0;
        persisted.emplace(object.serial,
                          PersistedObject{object.mode(), object.ownership.owner,
                                          object.ownership.permissions, object.lifetime_owner,
                                          object.pulse() ? object.pulse()->pulses() : 0,
                                          subscriptions});
    }
    return persisted;
}

std::map<std::uint64_t, std::uint64_t> persisted_tokens(DaemonInstance& instance)
{
    std::map<std::uint64_t, std::uint64_t> tokens;
    for (auto& [name, object] : instance.service.registry().objects.all())
        if (auto* event = object.event(); event && object.is_persistent)
            if (const auto count = event->count())
                tokens.emplace(object.serial, *count);
    return tokens;
}

} // namespace evfd::daemon
