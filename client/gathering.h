// A wait for any or all of several events.
#pragma once

#include "client/channel.h"
#include "client/evfd/error.h"
#include "client/evfd/event.h"
#include "client/poller.h"

#include <span>
#include <vector>

namespace evfd {

class Gathering {
public:
    explicit Gathering(std::span<const Event* const> events) : events_{events} {}

    Try<std::optional<Woken>> wait_any(Deadline deadline) const;
    Try<bool> wait_all(Deadline deadline) const;

private:
    // Whether any must be taken from by the daemon: then all of it is the daemon's.
    Try<bool> is_for_daemon() const;
    Try<std::vector<Woken>> wait_through_daemon(Gather gather, Deadline deadline) const;
    Try<std::optional<std::size_t>> take_all() const;

    std::span<const Event* const> events_;
};

} // namespace evfd
