// What evfd_open() gave, by descriptor, and the daemon that it gives it of.
#pragma once

#include "client/c/fd_identity.h"
#include "client/c/error.h"
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
struct Ways {
    bool can_add : 1 = false;       // write(2) sets it.
    bool can_look : 1 = false;      // poll(2) tells whether it is set,
    bool takes_nothing : 1 = false; // which is all that a wait wants to know.
    bool can_take : 1 = false;      // read(2) takes what a wait takes,
    bool takes_one : 1 = false;     // which is one, whatever it read.
    bool can_empty : 1 = false;     // A single read(2) clears it.
    bool is_epoll : 1 = false;      // What poll(2) tells of it besides; else it is an eventfd.
};

// One that is open. The descriptor is the user's to close, by evfd_close(): a thread that still
// waits does not keep it.
struct Open {
    Open(Object of, int number);
    ~Open();
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

    const Waitable& waitable() const;
    Outcome<const Event*> event() const; // EINVAL, if it is a timer.
    Outcome<const Timer*> timer() const;

    int fd;
    Identity identity;
    Object object;
};
using Held = std::shared_ptr<const Open>;

// For all threads. No thread is kept waiting by what another one does with the daemon, and a child
// of fork(2) finds it whole.
class Descriptors {
public:
    // Takes no lock: this is on the way of each set and wait. A number of ours that was closed by
    // close(2) is taken for what it was until find() finds that out.
    Ways ways(int fd) const noexcept
    {
        const auto* const slot = slot_of(fd);
        return slot ? slot->ways.load(std::memory_order_relaxed) : Ways{};
    }

    // EBADF, if it is none of ours, or no longer, as far as a single system call can tell.
    Outcome<Held> find(int fd);
    // The descriptor of what was opened, from now on known.
    Outcome<int> keep(Object object);
    // Known no more.
    Outcome<Held> forget(int fd);
    // EBADF, if all that /proc tells says that it is another's by now.
    Outcome<void> check(const Open& open);

    // The daemon of what is opened from now on.
    Outcome<Client> client();
    void use(std::unique_ptr<Client> client) noexcept;

    void lock() noexcept { mutex_.lock(); } // Around fork(2).
    void unlock() noexcept { mutex_.unlock(); }

private:
    struct Slot {
        std::atomic<Ways> ways{};
        Held open; // Beneath the mutex.
    };
    static_assert(std::atomic<Ways>::is_always_lock_free);
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
    Failure closed_before(const Open& open);

    mutable std::mutex mutex_;
    std::array<std::atomic<Page*>, max_pages> pages_{};
    Client* client_ = nullptr; // None yet: the usual one. Never destroyed at the end of the
                               // program, when threads may still be at it.
};

// Of a number that was closed by another than evfd_close().
Failure was_closed(int fd, bool is_anothers);

// The one that there is.
extern constinit Descriptors descriptors;

} // namespace evfd::c
