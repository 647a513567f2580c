// What one can wait for: what an event and a timer have in common in this process, and waits for
// several of them.
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

// An Event or a Timer.
class Waitable {
public:
    virtual ~Waitable();

    const Name& name() const { return name_; }
    Access access() const { return access_; }
    // To poll, select or put into an event loop: readable while a wait would end at once, also for
    // a caller that may look only. -1 for one that may not even that. It stays this object's.
    int fd() const { return fd_.get(); }
    // Whether a wait would end at once. It takes nothing.
    Expected<bool> is_set() const;
    // As fd(), which the caller closes from now on. Without it this object is good for nothing but
    // to be destroyed, at which the daemon hears that the descriptor need not follow the name.
    [[nodiscard]] int release() { return fd_.release(); }

protected:
    // What a wait takes when it is over.
    enum class Consumption {
        none,      // It looks only.
        shared,    // What another one could take as well.
        exclusive, // What nobody else has: it stays until it is taken.
    };

    Waitable(std::shared_ptr<ConnectionPool> pool, Name name, Access access, UniqueFd fd,
             std::string subscription);
    Waitable(Waitable&&) noexcept;
    Waitable& operator=(Waitable&&) noexcept;

    // Whether a wait would be permitted: to consume takes both rights.
    Expected<void> check_wait() const;
    // Waits on the descriptor until there is something to take: how much; 0 if the time was over.
    Expected<std::int64_t> wait_and_consume(std::optional<MonotonicTime> deadline) const;
    Error not_permitted(Permission right) const;

    std::shared_ptr<ConnectionPool> pool_;
    Name name_;
    Access access_;
    UniqueFd fd_;
    std::string subscription_; // What the daemon knows a private descriptor by.

private:
    friend class WaitSet;

    void unsubscribe() const noexcept;
    virtual Consumption consumption() const = 0;
    // 0 if there was nothing. Never waits.
    virtual Expected<std::int64_t> consume() const = 0;
    // Of what is shared.
    virtual Expected<void> restore(std::int64_t count) const = 0;
};

// What ended a wait for any of several.
struct WaitResult {
    std::size_t index;  // Of which.
    std::int64_t count; // As Event::wait() and Timer::wait().
};

// Waits for one of them and takes from that one only; nothing if the time was over first. At most
// 253, no name twice.
Expected<std::optional<WaitResult>> wait_any(std::span<const Waitable* const> all,
                                             std::optional<nanoseconds> timeout = {});
// Waits for all of them: true, or false if the time was over first. Takes from all auto events and
// semaphores or from none; for a manual event, a pulse and a timer it is enough that it was set, or
// expired, since.
Expected<bool> wait_all(std::span<const Waitable* const> all,
                        std::optional<nanoseconds> timeout = {});

// Whether waits for manual events cannot miss a set that is cleared at once. They need kernel AIO;
// if it cannot be had (fs.aio-max-nr used up, or forbidden) they fall back to poll(2), which can.
bool supports_latched_wait();

} // namespace evfd
