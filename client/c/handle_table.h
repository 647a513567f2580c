// What evfd_open() gave, by descriptor, and the daemon that it gives it of.
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

// What can be done on the descriptor without looking further, for a caller with the rights for it.
struct FastPath {
    bool can_add : 1 = false;          // write(2) sets it.
    bool can_poll : 1 = false;         // poll(2) tells whether it is set,
    bool consumes_nothing : 1 = false; // which is all that a wait wants to know.
    bool can_consume : 1 = false;      // read(2) takes what a wait takes,
    bool consumes_one : 1 = false;     // which is one, whatever it read.
    bool can_clear : 1 = false;        // A single read(2) clears it.
    bool is_epoll : 1 = false;         // What poll(2) tells of it besides; else it is an eventfd.
};

// One that is open. The descriptor is the user's to close, by evfd_close(): a thread that still
// waits does not keep it.
struct Handle {
    Handle(Object of, int number);
    ~Handle();
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    const Waitable& waitable() const;
    Result<const Event*> event() const; // EINVAL, if it is a timer.
    Result<const Timer*> timer() const;

    int fd;
    FdIdentity identity;
    Object object;
};
using HandlePtr = std::shared_ptr<const Handle>;

// For all threads. No thread is kept waiting by what another one does with the daemon, and a child
// of fork(2) finds it whole.
class HandleTable {
public:
    // Takes no lock: this is on the way of each set and wait. A number of ours that was closed by
    // close(2) is taken for what it was until find() finds that out.
    FastPath fast_path(int fd) const noexcept
    {
        const auto* const slot = slot_of(fd);
        return slot ? slot->fast_path.load(std::memory_order_relaxed) : FastPath{};
    }

    // EBADF, if it is none of ours, or no longer, as far as a single system call can tell.
    Result<HandlePtr> find(int fd);
    // The descriptor of what was opened, from now on known.
    Result<int> insert(Object object);
    // Known no more.
    Result<HandlePtr> erase(int fd);
    // EBADF, if all that /proc tells says that it is another's by now.
    Result<void> verify(const Handle& handle);

    // The daemon of what is opened from now on.
    Result<Client> client();
    void set_client(std::unique_ptr<Client> client) noexcept;

    void lock() noexcept { mutex_.lock(); } // Around fork(2).
    void unlock() noexcept { mutex_.unlock(); }

private:
    struct Slot {
        std::atomic<FastPath> fast_path{};
        HandlePtr handle; // Beneath the mutex.
    };
    static_assert(std::atomic<FastPath>::is_always_lock_free);
    // Made when needed, never given back.
    static constexpr std::size_t page_slots = 1024;
    static constexpr std::size_t max_pages = 4096; // Four times as many as fs.nr_open usually is.
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
    Client* client_ = nullptr; // None yet: the usual one. Never destroyed at the end of the
                               // program, when threads may still be at it.
};

// Of a number that was closed by another than evfd_close().
Failure closed_elsewhere(int fd, bool was_reused);

// The one that there is.
extern constinit HandleTable handle_table;

} // namespace evfd::c
