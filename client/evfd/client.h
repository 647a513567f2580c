// The daemon, as one client sees it: named events made, opened, looked at and waited for.
#pragma once

#include "client/address.h"
#include "client/evfd/error.h"
#include "client/evfd/event.h"
#include "common/clock.h"
#include "common/name.h"
#include "common/protocol.h"
#include "common/rights.h"
#include "common/words.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace evfd {

struct CreateOptions {
    Mode mode = Mode::manual;
    std::int64_t initial = 0;          // Tokens, or whether it is set from the start.
    std::optional<Rights> rights = {}; // 0666 less our umask(2), if not given.
    Lifetime lifetime = Lifetime::permanent;
    bool if_missing = false; // One of this mode that is there already is as good.
};

struct WaitOptions {
    Gather gather = Gather::all;
    std::optional<nanoseconds> timeout = {}; // For ever, if not given; 0 looks once.
    bool existing = false; // A name that is not there is an error, not waited for.
};

// A connection that is made when it is needed and made again when the daemon was restarted. Copies
// share it. May be used by several threads; a child of fork(2) gets a connection of its own.
// Names are checked here: ErrorCode::invalid for one that is malformed.
class Client {
public:
    // Nothing happens before the first call. `patience`: how long the daemon may take to answer.
    explicit Client(Address address, nanoseconds patience = std::chrono::seconds{10});

    // Whether it was made; false if it was there already.
    Try<bool> create(std::string_view name, const CreateOptions& options = {}) const;
    // All or nothing, at most 253 names.
    Try<std::vector<Event>> open(std::span<const std::string> names) const;
    Try<Event> open(std::string_view name) const;
    Try<void> set(std::span<const std::string> names, std::int64_t count = 1) const;
    Try<void> clear(std::span<const std::string> names) const;
    Try<void> remove(std::span<const std::string> names) const;
    Try<void> set_rights(std::string_view name, Rights rights) const;
    Try<protocol::Object> show(std::string_view name) const;
    Try<protocol::Status::Reply> status() const;

    // Calls `each` for all objects whose name the glob matches (all, if it is empty), by name.
    Try<void> list(std::string_view pattern,
                   const std::function<void(protocol::Object&)>& each) const;
    // Waits through the daemon: for names that may not be there yet, served in the order of
    // arrival.
    Try<std::vector<protocol::Fired>> wait(std::span<const std::string> names,
                                           const WaitOptions& options = {}) const;
    // Calls `each` with the state of all and then with each change, until it returns false or the
    // daemon goes away (interrupted).
    Try<void> monitor(std::string_view pattern,
                      const std::function<bool(protocol::Monitor::Reply&)>& each) const;

private:
    // Calls `each` with every reply until the last one, or until it returns false.
    template <class Request, class Each>
    Try<void> stream(const Request& request, std::optional<nanoseconds> patience,
                     const Each& each) const;

    std::shared_ptr<Daemon> daemon_;
};

} // namespace evfd
