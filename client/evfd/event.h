// A named event in this process: its descriptor, and what its mode and rights let one do with it.
#pragma once

#include "client/evfd/error.h"
#include "common/clock.h"
#include "common/name.h"
#include "common/rights.h"
#include "common/unique_fd.h"
#include "common/words.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace evfd {

class Daemon;

// As Client::open() gives it. Wherever its rights allow, everything happens on the descriptor,
// without the daemon; through the daemon go a set of a pulse, sets and clears by one who may not
// wait, and taking from an auto event or a semaphore by one who may not set. May be used by several
// threads.
class Event {
public:
    Event(Event&&) noexcept;
    Event& operator=(Event&&) noexcept;
    ~Event();

    const Name& name() const { return name_; }
    Mode mode() const { return mode_; }
    Access access() const { return access_; }
    // To poll, select or put into an event loop: readable while a wait would end at once. -1 for
    // one who may not wait. With both rights it is an eventfd(2): a read takes what a wait takes.
    // It stays this object's.
    int fd() const { return fd_.get(); }

    // manual and auto: set it. semaphore: add `count` tokens; refused if it has no room for them.
    // pulse: reach all who follow it now, to be counted `count` times.
    Try<void> set(std::int64_t count = 1) const;
    // manual, auto: no longer set. semaphore: no token left. pulse: forget those not waited for
    // yet.
    Try<void> clear() const;
    // Whether a wait would end at once. It takes nothing.
    Try<bool> is_set() const;

    // Waits until it is set, and takes what its mode takes: 1; for a pulse, how many came since the
    // last wait. 0: the time was over first. Without a timeout it waits for ever; 0 looks once.
    // A set of a manual event releases all who wait at that moment even if it is cleared at once,
    // as long as latches_waits() holds.
    Try<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    Try<std::int64_t> wait_until(MonotonicTime deadline) const;

private:
    friend class Client;
    friend class Gathering;
    Event(std::shared_ptr<Daemon> daemon, Name name, Mode mode, Access access, UniqueFd fd,
          std::string subscription);

    // With both rights the descriptor is the eventfd itself; for a pulse, the caller's own one.
    bool has_eventfd() const { return fd_ && (mode_ == Mode::pulse || access_.set); }
    bool takes_through_daemon() const;
    Error not_permitted(Right right) const;
    Try<std::int64_t> take() const;
    Try<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    std::shared_ptr<Daemon> daemon_;
    Name name_;
    Mode mode_;
    Access access_;
    UniqueFd fd_;
    std::string subscription_; // Of a pulse: what the daemon knows our descriptor by.
};

// What ended a wait for any of several events.
struct Woken {
    std::size_t index;  // Of the event.
    std::int64_t count; // As Event::wait().
};

// Waits for one of them and takes from that one only; nothing if the time was over first.
Try<std::optional<Woken>> wait_any(std::span<const Event* const> events,
                                   std::optional<nanoseconds> timeout = {});
// Waits for all of them: true, or false if the time was over first. Takes from all auto events and
// semaphores or from none; for a manual event and a pulse it is enough that it was set since.
Try<bool> wait_all(std::span<const Event* const> events, std::optional<nanoseconds> timeout = {});

// Whether waits for manual events cannot miss a set that is cleared at once. They need kernel AIO;
// if it cannot be had (fs.aio-max-nr used up, or forbidden) they fall back to poll(2), which can.
bool latches_waits();

} // namespace evfd
