// The daemon, as one client sees it: named events and timers made, opened, looked at and
// waited for.
#pragma once

// g++ 12 has this value for C++23. An older standard gets one error and not hundreds.
#if __cplusplus < 202100L
#error "evfd needs C++23: compile with -std=c++23"
#else

#include "client/core/address.h"
#include "common/clock.h"
#include "common/enums.h"
#include "common/name.h"
#include "common/permissions.h"
#include "common/protocol/protocol.h"
#include "evfd/error.h"
#include "evfd/event.h"
#include "evfd/hold.h"
#include "evfd/schedule.h"
#include "evfd/timer.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace evfd {

class Monitor;

struct CreateOptions {
    Mode mode = Mode::manual;
    std::int64_t initial = 0;                    // Tokens, or whether it is set from the start.
    std::optional<Permissions> permissions = {}; // 0666 less our umask(2), if not given.
    Lifetime lifetime = Lifetime::permanent;
    bool if_missing = false; // One of this mode that is there already is as good.
};

// For a timer that is not there yet.
struct ArmOptions {
    std::optional<Permissions> permissions = {}; // 0666 less our umask(2), if not given.
    Lifetime lifetime = Lifetime::permanent;
};

struct WaitOptions {
    Require require = Require::all;
    std::optional<nanoseconds> timeout = {}; // For ever, if not given; 0 looks once.
    bool existing = false; // A name that is not there is an error, not waited for.
    // Expirations or pulses that it takes; more than 1 only for timers and pulses.
    std::int64_t count = 1;
};

// A connection that is made when it is needed and made again when the daemon was restarted. Copies
// share it. May be used by several threads; a child of fork(2) keeps none of its parent's, and gets
// one of its own.
// Names are checked here: ErrorCode::invalid for one that is malformed.
class Client {
public:
    // Nothing happens before the first call. `patience`: how long the daemon may take to answer.
    explicit Client(Address address, nanoseconds timeout = std::chrono::seconds{10});

    const Address& address() const; // Which daemon it is.

    // Whether it was made; false if it was there already.
    Expected<bool> create(std::string_view name, const CreateOptions& options = {}) const;
    // Makes the timer if it is missing, and arms it: for everybody who has it open, before it
    // returns. Whether it was made.
    Expected<bool> arm(std::string_view name, const Schedule& schedule,
                       const ArmOptions& options = {}) const;
    Expected<void> disarm(std::span<const std::string> names) const;
    // Events. All or nothing, at most 253 names. refused: the daemon is on another machine.
    Expected<std::vector<Event>> open(std::span<const std::string> names) const;
    Expected<Event> open(std::string_view name) const;
    Expected<Timer> open_timer(std::string_view name) const;
    // Whichever of the two it is.
    Expected<std::variant<Event, Timer>> open_either(std::string_view name) const;
    // Whichever they are, in the order of the names. All or nothing, at most 253 names.
    Expected<std::vector<std::unique_ptr<Waitable>>>
    open_each(std::span<const std::string> names) const;
    Expected<void> set(std::span<const std::string> names, std::int64_t count = 1) const;
    Expected<void> clear(std::span<const std::string> names) const;
    Expected<void> delete_object(std::span<const std::string> names) const;
    Expected<void> set_permissions(std::string_view name, Permissions permissions) const;
    Expected<protocol::Object> show(std::string_view name) const;
    Expected<protocol::Status::Reply> status() const;
    // What the daemon counted of itself.
    Expected<protocol::Metrics::Reply> metrics() const;
    // Calls `each` for each user who has anything of the daemon: for root and the daemon's own user
    // all of them, else the caller's alone.
    Expected<void> quotas(const std::function<void(protocol::Quotas::User&)>& each) const;

    // Calls `each` for all objects whose name the glob matches (all, if it is empty), by name.
    Expected<void> list(std::string_view pattern,
                        const std::function<void(protocol::Object&)>& each) const;
    // Waits through the daemon: for names that may not be there yet, served in the order of
    // arrival.
    Expected<std::vector<protocol::Fired>> wait(std::span<const std::string> names,
                                                const WaitOptions& options = {}) const;
    // Takes a token of a semaphore, or an auto event, in the same way, and holds it: this process,
    // or, if the daemon is on another machine, where it is not known, a session.
    Expected<Hold> hold(std::string_view name, std::optional<nanoseconds> timeout = {}) const;
    Expected<Hold> hold(std::string_view name, std::optional<nanoseconds> timeout,
                        Holder holder) const;
    // This process holds, too, what another one of its user does. `id`: that of the Hold.
    Expected<Hold> join(std::string id) const;
    // Calls `each` with the state of all and then with each change, until it returns false or the
    // daemon goes away (interrupted).
    Expected<void> monitor(std::string_view pattern,
                           const std::function<bool(protocol::Monitor::Reply&)>& each) const;

    // The same, for a loop of one's own (client/news.h).
    Expected<Monitor> changes(std::string_view pattern) const;
    // And who begins to wait for them or to follow them, and ceases to.
    Expected<Monitor> changes_with_waiters(std::string_view pattern) const;

private:
    friend class RegisteredWait;
    friend class TriggerSource;

    Expected<std::vector<protocol::Opened>> open_all(const NameList& names) const;
    Event to_event(const Name& name, protocol::Opened opened) const;
    Timer to_timer(const Name& name, protocol::Opened opened) const;
    Expected<std::variant<Event, Timer>> to_either(const Name& name, protocol::Opened opened) const;
    static Expected<protocol::Wait> to_wait(std::span<const std::string> names,
                                            const WaitOptions& options);
    // Calls `each` with every reply until the last one, or until it returns false.
    template <class Request, class Each>
    Expected<void> stream(const Request& request, std::optional<nanoseconds> timeout,
                          const Each& each) const;
    // The same, for one that ends; with a daemon that goes away meanwhile it begins anew.
    template <class Request, class Each>
    Expected<void> stream_with_retry(const Request& request, const Each& each) const;

    std::shared_ptr<ConnectionPool> pool_;
};

} // namespace evfd

#endif
