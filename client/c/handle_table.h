// HandleTable: maps descriptors to the objects that evfd_open() opened, and keeps the client that
// opens them.
//
// evfd.h identifies an object by a plain descriptor, so that a program can poll it and pass it on.
// The table finds the C++ object for that number. It is an array of pages, indexed by the number; a
// page is allocated when its first number is used. Each slot has the FastPath of the descriptor,
// which is read without a lock, and a shared pointer to the handle, which is read with the mutex
// locked.
//
// Invariants:
//   - The program owns the descriptor. A handle never closes the descriptor, and a thread that
//     still waits with a handle does not keep the descriptor open.
//   - A program can close a descriptor with close(2), contrary to evfd(3), so that its number is
//     reused. find() compares the inode, with one system call. verify() compares everything that
//     /proc shows. If the file is another one, find() and verify() return EBADF and turn off the
//     fast path of the slot.
//   - mutex_ is never locked during a call to the daemon or a wait. mutex_ is locked during
//     fork(2), so that the child's copy of the table is consistent.
//   - The table, its pages and its client are not destroyed at exit, because other threads can use
//     them while the process exits.
#pragma once

#include "client/c/error.h"
#include "client/c/fd_identity.h"
#include "evfd.h"
#include "evfd/client.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

namespace evfd::c {

using Object = std::variant<Event, Timer>;

// The operations that need only one system call on a descriptor, given the object's mode and the
// caller's access.
struct FastPath {
    bool can_add : 1 = false;          // A write(2) sets the event.
    bool can_poll : 1 = false;         // poll(2) shows whether the object is set.
    bool consumes_nothing : 1 = false; // A wait only needs poll(2).
    bool can_consume : 1 = false;      // One read(2) consumes exactly what a wait consumes.
    bool consumes_one : 1 = false;     // A wait reports 1, whatever value was read.
    bool can_clear : 1 = false;        // One read(2) clears the event.
    bool is_epoll : 1 = false;         // The descriptor is an epoll instance, not an eventfd.
};

// An open object. The program owns the descriptor and closes it with evfd_close().
struct Handle {
    Handle(Object of, int number);
    ~Handle();
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    const Waitable& waitable() const;
    Result<const Event*> event() const; // Fails with EINVAL for a timer.
    Result<const Timer*> timer() const; // Fails with EINVAL for an event.

    int fd;
    FdIdentity identity;
    Object object;
};
using HandlePtr = std::shared_ptr<const Handle>;

// Several threads can use the table at the same time.
class HandleTable {
public:
    // Returns the fast path of a descriptor. Locks nothing, because every set and wait calls this
    // function. A descriptor that was closed with close(2) keeps its fast path until find() or
    // verify() detects the close.
    FastPath fast_path(int fd) const noexcept
    {
        const auto* const slot = slot_of(fd);
        return slot ? slot->fast_path.load(std::memory_order_relaxed) : FastPath{};
    }

    // Returns the handle of a descriptor. Checks the descriptor with one system call. Fails with
    // EBADF if the number is unknown, if the descriptor is closed, or if the descriptor has the
    // inode of another file.
    Result<HandlePtr> find(int fd);
    // Adds an opened object and returns its descriptor.
    Result<int> insert(Object object);
    // Removes the entry of a descriptor and returns its handle.
    Result<HandlePtr> erase(int fd);
    // Fails with EBADF if /proc shows that the descriptor's number belongs to another file.
    Result<void> verify(const Handle& handle);

    // Returns the client that `of` stands for. If `of` is null, returns the current client, or
    // makes the default client at the first use. Fails with EINVAL if the client was removed.
    Result<Client> client(const evfd_client* of);
    void set_client(std::unique_ptr<Client> client) noexcept;
    Result<evfd_client*> add_client(std::unique_ptr<Client> client);
    // Fails with EINVAL if the client was removed before. Does nothing for null.
    Result<void> remove_client(const evfd_client* of);

    // The fork handlers call lock() before fork(2). After the fork, the parent and the child call
    // unlock().
    void lock() noexcept { mutex_.lock(); }
    void unlock() noexcept { mutex_.unlock(); }

private:
    struct Slot {
        std::atomic<FastPath> fast_path{};
        HandlePtr handle; // Used only with mutex_ locked.
    };
    static_assert(std::atomic<FastPath>::is_always_lock_free);
    // The number of slots in a page. Pages are allocated on demand and never freed.
    static constexpr std::size_t page_slots = 1024;
    // All pages together have four times as many slots as the usual value of fs.nr_open.
    static constexpr std::size_t max_pages = 4096;
    using Page = std::array<Slot, page_slots>;

    Slot* slot_of(int fd) const noexcept
    {
        const auto number = static_cast<std::size_t>(fd);
        if (fd < 0 || number >= page_slots * max_pages)
            return nullptr;
        auto* const page = pages_[number / page_slots].load(std::memory_order_acquire);
        return page ? &(*page)[number % page_slots] : nullptr;
    }
    Slot* make_slot(int fd);
    Failure closed_before(const Handle& handle);
    Result<Client> default_client();

    mutable std::mutex mutex_;
    std::array<std::atomic<Page*>, max_pages> pages_{};
    // The current client, or null if the default client is not made yet. The client is not
    // destroyed at exit, because other threads can still use it while the process exits.
    Client* client_ = nullptr;
    // The clients of evfd_client_new() by number, or null before the first. An evfd_client* has the
    // number of its client instead of an address, and is never dereferenced. A number is not used
    // again, so that a released client is never taken for a later one.
    std::map<std::uintptr_t, std::unique_ptr<Client>>* clients_ = nullptr;
    std::uintptr_t last_client_ = 0;
};

// Returns the error for a descriptor that was closed by something other than evfd_close().
Failure closed_elsewhere(int fd, bool was_reused);

extern constinit HandleTable handle_table;

} // namespace evfd::c
