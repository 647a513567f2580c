#include "tests/fuzz/crash_state.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace evfd::daemon {

namespace {

void replace_fd(int fd, const UniqueFd& replacement)
{
    expect(::dup3(replacement.get(), fd, O_CLOEXEC) == fd, "a descriptor is replaced");
}

// Calls transfer(offset, size) for each range of the progress page that has data. Most of the page
// is a hole of the file.
template <class Do>
void for_each_data_range(const UniqueFd& memfd, const Do& transfer)
{
    off_t at = 0;
    while ((at = ::lseek(memfd.get(), at, SEEK_DATA)) >= 0) {
        const auto end = ::lseek(memfd.get(), at, SEEK_HOLE);
        expect(transfer(at, static_cast<std::size_t>(end - at)) == end - at,
               "the progress page can be read and written");
        at = end;
    }
}

std::string read_contents(const UniqueFd& memfd)
{
    std::string bytes(static_cast<std::size_t>(::lseek(memfd.get(), 0, SEEK_END)), '\0');
    for_each_data_range(memfd, [&](off_t at, std::size_t size) {
        return ::pread(memfd.get(), bytes.data() + at, size, at);
    });
    return bytes;
}

void write_contents(const UniqueFd& memfd, const std::string& bytes)
{
    for_each_data_range(memfd, [&](off_t at, std::size_t size) {
        return ::pwrite(memfd.get(), bytes.data() + at, size, at);
    });
}

} // namespace

StateStore::Descriptors crash(std::unique_ptr<DaemonInstance> instance)
{
    auto inherited = stored_fds_of(instance->state_store);
    const auto progress = read_contents(inherited[3]);

    const auto descriptors = instance->state_store.descriptors();
    auto [dead_end, other_dead_end] = socket_pair(SOCK_SEQPACKET);
    replace_fd(descriptors[0], dead_end);
    replace_fd(descriptors[1], other_dead_end);
    replace_fd(descriptors[2], fuzz::make_memfd(""));
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    for (auto& [name, object] : instance->service.registry().objects.all()) {
        if (const auto* event_object = object.event())
            replace_fd(event_object->fd().get(), event);
        if (const auto* pulse = object.pulse())
            for (const auto& [token, subscription] : pulse->subscriptions().all())
                replace_fd(subscription.fd().get(), event);
    }
    instance.reset();
    // The destructors of the DaemonInstance have changed the progress page, because the page is
    // shared memory. Restores the contents that the page had at the kill.
    write_contents(inherited[3], progress);
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
