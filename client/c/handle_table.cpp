#include "client/c/handle_table.h"

#include "client/c/fd_identity.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace evfd::c {

constinit HandleTable handle_table;

namespace {

// fork(2) waits until no thread has the mutex locked. This takes only a moment, because no thread
// sleeps while it has the mutex locked.
[[maybe_unused]] const int fork_handlers_are_registered = ::pthread_atfork(
    [] { handle_table.lock(); }, [] { handle_table.unlock(); }, [] { handle_table.unlock(); });

const Waitable& waitable_of(const Object& object)
{
    return std::visit([](const auto& one) -> const Waitable& { return one; }, object);
}

FastPath fast_path_of(const Object& object)
{
    const auto [may_wait, may_set] = waitable_of(object).access();
    const auto* const event = std::get_if<Event>(&object);
    // The fast path never reads from a timer, because only the slow path handles the cancellation
    // of a timer. Only the first read(2) after the cancellation reports the cancellation.
    if (!event)
        return {.can_poll = may_wait};
    const bool has_eventfd = may_wait && may_set;
    switch (event->mode()) {
    case Mode::manual:
        return {.can_add = has_eventfd,
                .can_poll = may_wait,
                .consumes_nothing = may_wait,
                .can_clear = has_eventfd,
                .is_epoll = !has_eventfd};
    case Mode::automatic:
    case Mode::semaphore:
        return {.can_add = has_eventfd,
                .can_poll = may_wait,
                .can_consume = has_eventfd,
                .consumes_one = true,
                .can_clear = has_eventfd && event->mode() == Mode::automatic,
                .is_epoll = !has_eventfd};
    case Mode::pulse: return {.can_poll = may_wait, .can_consume = may_wait, .can_clear = may_wait};
    }
    std::abort();
}

Failure unknown_descriptor(int fd)
{
    return {EBADF, fmt::format("descriptor {} is not from evfd_open(), or is closed; open the "
                               "name, and use the descriptor that evfd_open() returns",
                               fd)};
}

// Makes a descriptor for a caller who is allowed to set but not to wait. The descriptor only
// identifies the object: it never polls readable, and evfd_set() sends a call to the daemon instead
// of writing to the descriptor.
Result<UniqueFd> make_placeholder()
{
    UniqueFd fd{::epoll_create1(EPOLL_CLOEXEC)};
    if (!fd)
        return std::unexpected(Failure{errno, Fault::last("epoll_create1(2)").message()});
    return fd;
}

std::uintptr_t number_of(const evfd_client* client)
{
    return reinterpret_cast<std::uintptr_t>(client); // NOLINT: the pointer is a number.
}

Failure removed_client()
{
    return {EINVAL, "the client is not from evfd_client_new(), or was released; make a client, or "
                    "give NULL for the default"};
}

} // namespace

Failure closed_elsewhere(int fd, bool was_reused)
{
    return {EBADF, fmt::format("descriptor {} was closed before{}; close it only with evfd_close()",
                               fd, was_reused ? ", and belongs to another file now" : "")};
}

Handle::Handle(Object of, int number)
    : fd{number}, identity{identity_of(number)}, object{std::move(of)}
{
}

Handle::~Handle()
{
    std::visit([](auto& one) { (void)one.release(); }, object);
}

const Waitable& Handle::waitable() const
{
    return waitable_of(object);
}

Result<const Event*> Handle::event() const
{
    if (const auto* const event = std::get_if<Event>(&object))
        return event;
    return std::unexpected(
        Failure{EINVAL, fmt::format("'{}' is a timer, and only an event can be set or cleared; to "
                                    "set an event at each expiry, name it in the timer's schedule",
                                    waitable().name().text())});
}

Result<const Timer*> Handle::timer() const
{
    if (const auto* const timer = std::get_if<Timer>(&object))
        return timer;
    return std::unexpected(Failure{
        EINVAL,
        fmt::format(
            "'{}' is an event, and only a timer can be armed; use another name for the timer",
            waitable().name().text())});
}

Result<HandlePtr> HandleTable::find(int fd)
{
    HandlePtr handle;
    if (const auto* const slot = slot_of(fd)) {
        const std::lock_guard locked{mutex_};
        handle = slot->handle;
    }
    if (!handle)
        return std::unexpected(unknown_descriptor(fd));
    const auto inode = inode_of(fd);
    if (!inode || (handle->identity.inode && inode != handle->identity.inode))
        return std::unexpected(closed_before(*handle));
    return handle;
}

Result<void> HandleTable::verify(const Handle& handle)
{
    if (are_different(identity_of(handle.fd), handle.identity))
        return std::unexpected(closed_before(handle));
    return {};
}

// Turns off the fast path of a descriptor that the program has closed with close(2). After that,
// every use of the descriptor takes the slow path, which checks the descriptor's number. Returns
// the error for the caller.
Failure HandleTable::closed_before(const Handle& handle)
{
    if (auto* const slot = slot_of(handle.fd)) {
        const std::lock_guard locked{mutex_};
        if (slot->handle.get() == &handle)
            slot->fast_path.store({}, std::memory_order_relaxed);
    }
    return closed_elsewhere(handle.fd, inode_of(handle.fd).has_value());
}

HandleTable::Slot* HandleTable::make_slot(int fd)
{
    if (static_cast<std::size_t>(fd) >= page_slots * max_pages)
        return nullptr;
    auto& page = pages_[static_cast<std::size_t>(fd) / page_slots];
    if (!page.load(std::memory_order_acquire)) {
        auto made = std::make_unique<Page>();
        Page* none = nullptr;
        if (page.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel))
            (void)made.release();
    }
    return slot_of(fd);
}

Result<int> HandleTable::insert(Object object)
{
    UniqueFd placeholder;
    int fd = waitable_of(object).fd();
    if (fd < 0) {
        auto made = make_placeholder();
        if (!made)
            return std::unexpected(std::move(made.error()));
        placeholder = *std::move(made);
        fd = placeholder.get();
    }
    auto* const slot = make_slot(fd);
    if (!slot)
        return std::unexpected(Failure{
            EMFILE,
            fmt::format("descriptor {} is above the limit of this library; close some descriptors",
                        fd)});
    const auto fast_path = fast_path_of(object);
    HandlePtr handle = std::make_shared<const Handle>(std::move(object), fd);
    (void)placeholder.release();
    const std::unique_lock locked{mutex_};
    slot->handle.swap(handle);
    slot->fast_path.store(fast_path, std::memory_order_relaxed);
    // `handle` now has the previous handle of this slot, if there was one. The kernel has reused
    // the number, so the program must have closed the previous descriptor with close(2). The
    // previous handle is destroyed after the mutex is unlocked, because the destruction sends a
    // call to the daemon.
    return fd;
}

Result<HandlePtr> HandleTable::erase(int fd)
{
    HandlePtr handle;
    if (auto* const slot = slot_of(fd)) {
        const std::lock_guard locked{mutex_};
        slot->fast_path.store({}, std::memory_order_relaxed);
        handle = std::exchange(slot->handle, nullptr);
    }
    if (!handle)
        return std::unexpected(unknown_descriptor(fd));
    return handle;
}

Result<Client> HandleTable::client(const evfd_client* of)
{
    if (!of)
        return default_client();
    const std::lock_guard locked{mutex_};
    if (clients_)
        if (const auto found = clients_->find(number_of(of)); found != clients_->end())
            return *found->second;
    return std::unexpected(removed_client());
}

Result<evfd_client*> HandleTable::add_client(std::unique_ptr<Client> client)
{
    const std::lock_guard locked{mutex_};
    if (!clients_)
        clients_ =
            new std::map<std::uintptr_t, std::unique_ptr<Client>>; // NOLINT: never destroyed.
    clients_->emplace(++last_client_, std::move(client));
    return reinterpret_cast<evfd_client*>(last_client_); // NOLINT: never dereferenced.
}

Result<void> HandleTable::remove_client(const evfd_client* of)
{
    if (!of)
        return {};
    std::unique_ptr<Client> removed; // Destroyed after the mutex is unlocked.
    const std::lock_guard locked{mutex_};
    if (clients_)
        if (const auto found = clients_->find(number_of(of)); found != clients_->end()) {
            removed = std::move(found->second);
            clients_->erase(found);
            return {};
        }
    return std::unexpected(removed_client());
}

Result<Client> HandleTable::default_client()
{
    {
        const std::lock_guard locked{mutex_};
        if (client_)
            return *client_;
    }
    auto address = Address::usual();
    if (!address)
        return std::unexpected(address.error());
    auto made = std::make_unique<Client>(*std::move(address));
    const std::lock_guard locked{mutex_};
    if (!client_) // If client_ is set, another thread has made the client meanwhile.
        client_ = made.release();
    return *client_;
}

void HandleTable::set_client(std::unique_ptr<Client> client) noexcept
{
    Client* last = client.release();
    {
        const std::lock_guard locked{mutex_};
        std::swap(client_, last);
    }
    delete last; // The connection stays open as long as an object of the deleted client is open.
}

} // namespace evfd::c
