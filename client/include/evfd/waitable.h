// Waitable: the base class of Event and Timer. Also the functions that wait for several of them.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/permissions.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace evfd {

class ConnectionPool;

// Base class of Event and Timer.
class Waitable {
public:
    virtual ~Waitable();

    const Name& name() const { return name_; }
    Access access() const { return access_; }
    // Returns the descriptor for poll(2), select(2) or an event loop, or -1 if the caller has no
    // permission to wait. The descriptor polls readable whenever the object is set or has expired,
    // even if the caller is not allowed to consume. This Waitable stays the owner of the
    // descriptor.
    int fd() const { return fd_.get(); }
    // Returns whether a wait would return immediately. Consumes nothing.
    Expected<bool> is_set() const;
    // Returns fd() and makes the caller the owner of the descriptor. Afterwards this Waitable may
    // only be destroyed or get a new value by assignment. The destructor still ends the
    // subscription.
    [[nodiscard]] int release() { return fd_.release(); }

protected:
    enum class Consumption {
        none,      // The wait consumes nothing.
        shared,    // The wait consumes something that another waiter could have consumed.
        exclusive, // The wait consumes something private to this descriptor.
    };

    Waitable(std::shared_ptr<ConnectionPool> pool, Name name, Access access, UniqueFd fd,
             std::string subscription);
    Waitable(Waitable&&) noexcept;
    Waitable& operator=(Waitable&&) noexcept;

    // Checks that the caller may wait. A wait that consumes shared tokens requires the permissions
    // to wait and to set.
    Expected<void> check_wait() const;
    // Waits until the object is set or has expired, and consumes. Returns the amount consumed, or 0
    // if the deadline passed first.
    Expected<std::int64_t> wait_and_consume(std::optional<MonotonicTime> deadline) const;
    Error not_permitted(Permission permission) const;

    std::shared_ptr<ConnectionPool> pool_;
    Name name_;
    Access access_;
    UniqueFd fd_;
    // The identifier by which the daemon knows this subscriber's private descriptor.
    std::string subscription_;

private:
    friend class WaitSet;

    void unsubscribe() const noexcept;
    virtual Consumption consumption() const = 0;
    // Consumes without blocking. Returns the amount consumed, or 0 if there was nothing to consume.
    virtual Expected<std::int64_t> consume() const = 0;
    // Gives `count` consumed tokens back to the event. This function is called only if
    // consumption() is Consumption::shared.
    virtual Expected<void> restore(std::int64_t count) const = 0;
};

// The result of wait_any(): says which object ended the wait.
struct WaitResult {
    std::size_t index;  // The position of the object in the caller's list.
    std::int64_t count; // The amount consumed, as Event::wait() and Timer::wait() return it.
};

// Waits until one of 1 to 253 different objects is set or expires, and consumes only from that
// object. Returns nothing if the timeout passed first.
Expected<std::optional<WaitResult>> wait_any(std::span<const Waitable* const> all,
                                             std::optional<nanoseconds> timeout = {});
// Waits for all of 1 to 253 different objects. Returns false if the timeout passed first. Consumes
// from all auto events and semaphores, or from none of them. A manual event, a pulse or a timer
// need not be set at the end of the wait: it is enough that it was set or expired at any time
// during the wait.
Expected<bool> wait_all(std::span<const Waitable* const> all,
                        std::optional<nanoseconds> timeout = {});

// Returns whether a wait for a manual event sees a set even if the event is cleared immediately.
// Such waits need kernel AIO. Without kernel AIO (fs.aio-max-nr is used up, or AIO is forbidden)
// waits use poll(2), which can miss such a set.
bool supports_latched_wait();

} // namespace evfd
