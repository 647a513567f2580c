// Client: the C++ interface to one evfdd daemon.
//
// A Client creates, arms, lists, sets and deletes named events and timers, and opens them as
// descriptors. Events, timers and holds that a Client returns keep their connection to the daemon;
// they can outlive the Client object.
#pragma once

// g++ 12 defines __cplusplus as 202100L for C++23. Without this check, a compiler for an older
// standard would report hundreds of errors below.
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
    // The number of tokens at the start. A manual or auto event starts as set if the value is above
    // 0.
    std::int64_t initial = 0;
    // Permissions of the new event. Default: 0666 without the bits of the caller's umask(2).
    std::optional<Permissions> permissions = {};
    Lifetime lifetime = Lifetime::permanent;
    // If true, create() also succeeds if the name belongs to an event of the requested mode, and
    // leaves that event unchanged. If false, create() fails if the name is taken.
    bool if_missing = false;
};

// Options for a timer that Client::arm() has to create. An existing timer ignores them.
struct ArmOptions {
    // Permissions of the new timer. Default: 0666 without the bits of the caller's umask(2).
    std::optional<Permissions> permissions = {};
    Lifetime lifetime = Lifetime::permanent;
};

// The object that create() or arm() created or found.
struct Made {
    bool created; // False if the object existed before the call.
    // The id of the object. The daemon never gives an id twice, not even to an object of the same
    // name.
    std::int64_t id;
};

struct WaitOptions {
    Require require = Require::all;
    // The maximum time to wait. By default there is no limit. A timeout of 0 checks once and does
    // not block.
    std::optional<nanoseconds> timeout = {};
    // If true, the wait fails with no_such_name if a name does not exist. If false, the wait
    // continues until the name exists and is set.
    bool existing = false;
    // The number of expirations or pulses to consume. Values above 1 are valid only for timers and
    // pulses.
    std::int64_t count = 1;
};

// A Client connects at the first call, and reconnects after a restart of the daemon. Copies of a
// Client share one connection. Several threads may use a Client at the same time. After fork(2) the
// child process closes its copies of the connections and makes new ones.
//
// Every function that takes a name checks the name first, and fails with ErrorCode::invalid if the
// name is malformed. ErrorCode (error.h) describes the other errors.
class Client {
public:
    // The constructor does not connect. `timeout` is the maximum time that one call waits for the
    // daemon to answer, or to restart.
    explicit Client(Address address, nanoseconds timeout = std::chrono::seconds{10});

    const Address& address() const; // Returns the address of the daemon.

    // Creates an event.
    // If the name is taken, the result depends on options.if_missing. If if_missing is true and the
    // object is an event of the mode options.mode, succeeds, and Made::created is false. In every
    // other case fails with name_taken.
    Expected<Made> create(std::string_view name, const CreateOptions& options = {}) const;
    // Arms a timer, and creates it first if it does not exist. Before the function returns, the
    // descriptors of all subscribers have the new schedule.
    Expected<Made> arm(std::string_view name, const Schedule& schedule,
                       const ArmOptions& options = {}) const;
    // Disarms 1 to 253 timers: either all of them or none.
    Expected<void> disarm(std::span<const std::string> names) const;
    // Opens 1 to 253 events: either all of them or none. Fails with refused if a permission is
    // missing, or if the daemon runs on another machine, from which no descriptor can be received.
    Expected<std::vector<Event>> open(std::span<const std::string> names) const;
    Expected<Event> open(std::string_view name) const;
    // Opens a timer. Fails with name_taken if the object is an event.
    Expected<Timer> open_timer(std::string_view name) const;
    // Opens an event or a timer.
    Expected<std::variant<Event, Timer>> open_either(std::string_view name) const;
    // Opens 1 to 253 events and timers: either all of them or none. Returns them in the order of
    // the names.
    Expected<std::vector<std::unique_ptr<Waitable>>>
    open_each(std::span<const std::string> names) const;
    // Sets 1 to 253 events: either all of them or none. Adds `count` tokens to semaphores, and
    // drops the tokens that do not fit. Delivers `count` pulses to the subscribers of pulses.
    Expected<void> set(std::span<const std::string> names, std::int64_t count = 1) const;
    // Like set(), but only sends the call, and does not wait for the daemon. For a caller that
    // needs no answer: a refusal, such as no_such_name, is not reported. Fails only if the call
    // cannot be sent; if the socket stays full for the timeout of the Client, fails with no_daemon.
    //
    // The daemon executes the call at most once. The call is lost if the daemon or the connection
    // ends before the daemon has read the call, and a daemon that is killed meanwhile adds perhaps
    // only a part of many tokens. The call is not repeated after a restart of the daemon. The
    // daemon executes the calls of one connection in their order: this call before a later set(),
    // create() or show(). Operations on descriptors, and the functions clear(), wait(), hold(),
    // list(), quotas() and monitor(), do not use this connection, and can overtake this call. So
    // can every call after a hold(), which changes the connection.
    //
    // The function can wait for a call of this Client in another thread, and for a daemon that
    // restarts.
    //
    // If the daemon runs on another machine, returns only after the call has arrived there. Fails
    // with interrupted if the connection was lost meanwhile, and it is unknown whether the call
    // arrived.
    Expected<void> set_oneway(std::span<const std::string> names, std::int64_t count = 1) const;
    // Resets 1 to 253 events. Consumes the tokens that a semaphore has now, one by one. Has no
    // effect on a pulse.
    Expected<void> clear(std::span<const std::string> names) const;
    // Deletes 1 to 253 objects: either all of them or none. The waiters of a deleted object get
    // ErrorCode::deleted. Only the owner and root are allowed to delete an object.
    Expected<void> delete_object(std::span<const std::string> names) const;
    // Changes the permissions of an object; umask(2) does not apply. Open descriptors stay valid.
    // Only the owner and root are allowed to change permissions.
    Expected<void> set_permissions(std::string_view name, Permissions permissions) const;
    // Returns the properties and the state of an object.
    Expected<protocol::Object> show(std::string_view name) const;
    // Returns the status of the daemon.
    Expected<protocol::Status::Reply> status() const;
    // Returns the daemon's counters as OpenMetrics text.
    Expected<protocol::Metrics::Reply> metrics() const;
    // Calls `each` for every user with any resource in use, in ascending order of uid. Root and the
    // daemon's own user get all users; every other caller gets only its own entry.
    Expected<void> quotas(const std::function<void(protocol::Quotas::User&)>& each) const;

    // Calls `each` for every object with a name that matches the glob `pattern`, in the order of
    // the names. `*` and `?` do not match a slash, `**` does. An empty pattern matches all names. A
    // pattern with a character class, such as [[:alpha:]], is invalid.
    Expected<void> list(std::string_view pattern,
                        const std::function<void(protocol::Object&)>& each) const;
    // Waits in the daemon for 1 to 253 names, which need not exist yet. Waits are served in order
    // of arrival. Returns the names that ended the wait, each with the count that the wait
    // consumed. Fails with timed_out if options.timeout passed first; in that case the wait
    // consumed nothing.
    Expected<std::vector<protocol::Fired>> wait(std::span<const std::string> names,
                                                const WaitOptions& options = {}) const;
    // Consumes a token of a semaphore or of an auto event, and holds the token until the Hold is
    // released. An auto event has one token and serves as a lock. The holder is this process. If
    // the daemon runs on another machine, the holder is a session, because that daemon does not
    // know this process.
    Expected<Hold> hold(std::string_view name, std::optional<nanoseconds> timeout = {}) const;
    Expected<Hold> hold(std::string_view name, std::optional<nanoseconds> timeout,
                        Holder holder) const;
    // Adds this process to the holders of the hold whose Hold::id() is `id`. Another process of the
    // same user must be a holder of the hold at this moment.
    Expected<Hold> join(std::string id) const;
    // Calls `each` with the state of every object that matches `pattern`, and then with every
    // change. Returns when `each` returns false. Fails with interrupted if the connection to the
    // daemon was lost.
    Expected<void> monitor(std::string_view pattern,
                           const std::function<bool(protocol::Monitor::Reply&)>& each) const;

    // Like monitor(), for a caller with an event loop of its own: see client/core/monitor.h.
    Expected<Monitor> changes(std::string_view pattern) const;
    // Like changes(), but the monitor also reports when an object gets or loses a waiter or a
    // subscriber.
    Expected<Monitor> changes_with_waiters(std::string_view pattern) const;

private:
    friend class RegisteredWait;
    friend class TriggerSource;

    Expected<std::vector<protocol::Opened>> open_all(const Items<protocol::Item>& items) const;
    Event to_event(const Name& name, protocol::Opened opened) const;
    Timer to_timer(const Name& name, protocol::Opened opened) const;
    Expected<std::variant<Event, Timer>> to_either(const Name& name, protocol::Opened opened) const;
    static Expected<protocol::Wait> to_wait(std::span<const std::string> names,
                                            const WaitOptions& options);
    // Sends the request and calls `each` with every reply, until the last reply or until `each`
    // returns false.
    template <class Request, class Each>
    Expected<void> stream(const Request& request, std::optional<nanoseconds> timeout,
                          const Each& each) const;
    // Like stream(), but sends the request again if the daemon is restarted. Not for a request
    // whose replies never end.
    template <class Request, class Each>
    Expected<void> stream_with_retry(const Request& request, const Each& each) const;

    std::shared_ptr<ConnectionPool> pool_;
};

} // namespace evfd

#endif
