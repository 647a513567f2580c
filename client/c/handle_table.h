// HandleTable: the objects that evfd_open() opened, by descriptor, and the client that opens them.
//
// evfd.h identifies an object by a plain descriptor, so that a program can poll it and pass it on.
// The table finds the C++ object for that number. It is an array of pages, indexed by the number; a
// page is allocated when its first number is used. Each slot has the FastPath of the descriptor,
// which is read without a lock, and a shared pointer to the handle, which is read with the mutex
// locked.
//
// What must hold:
//   - The program owns the descriptor. A handle never closes it, and a thread that still waits with
//     a handle does not keep it open.
//   - The program may close a descriptor with close(2), contrary to evfd(3), and its number may be
//     reused. find() compares the inode, with one system call; verify() compares everything that
//     /proc shows. Both return EBADF, and turn off the fast path of the slot.
//   - mutex_ is never locked during a call to the daemon or a wait. fork(2) locks it, so that a
//     child finds the table consistent.
//   - The table, its pages and its client are never destroyed: other threads may use them while the
//     process exits.
#pragma once

#include "client/c/error.h"
#include "client/c/fd_identity.h"
#include "evfd/client.h"

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

namespace evfd::c {

using Object = std::variant<Event, Timer>;

// Operations that need one system call on the descriptor, for a caller with this access.
struct FastPath {
    bool can_add : 1 = false;          // write(2) sets it.
    bool can_poll : 1 = false;         // poll(2) shows whether it is set.
    bool consumes_nothing : 1 = false; // A wait only needs poll(2).
    bool can_consume : 1 = false;      // read(2) consumes what a wait consumes.
    bool consumes_one : 1 = false;     // A wait consumes one, whatever value was read.
    bool can_clear : 1 = false;        // One read(2) clears it.
    bool is_epoll : 1 = false;         // The descriptor is an epoll; otherwise it is an eventfd.
};

// An open object. The program owns the descriptor and closes it with evfd_close().
struct Handle {
    Handle(Object of, int number);
    ~Handle();
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    const Waitable& waitable() const;
    Result<const Event*> event() const; // EINVAL for a timer.
    Result<const Timer*> timer() const;

    int fd;
    FdIdentity identity;
    Object object;
};
using HandlePtr = std::shared_ptr<const Handle>;

// Used by all threads at the same time.
class HandleTable {
public:
    // Takes no lock, because every set and wait calls it. A number that was closed with close(2)
    // keeps its fast path until find() or verify() notices.
    FastPath fast_path(int fd) const noexcept
    {
        const auto* const slot = slot_of(fd);
        return slot ? slot->fast_path.load(std::memory_order_relaxed) : FastPath{};
    }

    // EBADF: the number is unknown, or one system call shows that it belongs to another file.
    Result<HandlePtr> find(int fd);
    // Adds an opened object and returns its descriptor.
    Result<int> insert(Object object);
    // Removes the entry and returns its handle.
    Result<HandlePtr> erase(int fd);
    // EBADF: /proc shows that the number belongs to another file.
    Result<void> verify(const Handle& handle);

    // Returns the client that opens objects from now on.
    Result<Client> client();
    void set_client(std::unique_ptr<Client> client) noexcept;

    void lock() noexcept { mutex_.lock(); } // Called around fork(2).
    void unlock() noexcept { mutex_.unlock(); }

private:
    struct Slot {
        std::atomic<FastPath> fast_path{};
        HandlePtr handle; // Protected by mutex_.
    };
    static_assert(std::atomic<FastPath>::is_always_lock_free);
    // Pages are allocated on demand and never freed.
    static constexpr std::size_t page_slots = 1024;
    static constexpr std::size_t max_pages = 4096; // Four times the usual value of fs.nr_open.
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

    mutable std::mutex mutex_;
    std::array<std::atomic<Page*>, max_pages> pages_{};
    // Null before the first use: the default client. Not destroyed at exit, when other threads may
    // still use it.
    Client* client_ = nullptr;
};

// Returns the error for a descriptor that was not closed with evfd_close().
Failure closed_elsewhere(int fd, bool was_reused);

// The only instance.
extern constinit HandleTable handle_table;

} // namespace evfd::c
