// WaitSet: a wait for any or for all of several open objects, on their descriptors.
//
// wait_any() tries each object once without sleeping, then sleeps until an object becomes readable
// and consumes from that object. If another waiter was faster, wait_any() sleeps again.
//
// wait_all() sleeps until every object has become readable at least once, even if some are no
// longer readable. After that, wait_all() consumes from all objects. If an object is empty,
// wait_all() gives the tokens already consumed back to their objects, and sleeps until the empty
// object becomes readable.
//
// Invariants:
//   - No object is in the set twice: a single token could not serve two entries.
//   - Only shared tokens can be given back to their objects. Private counts (pulses, timers) are
//     consumed last, when nothing can fail any more.
//   - A wait reports every object from which it has consumed.
#pragma once

#include "client/core/aio_poller.h"
#include "client/core/connection.h"
#include "evfd/error.h"
#include "evfd/waitable.h"

#include <span>
#include <string_view>
#include <vector>

namespace evfd {

class WaitSet {
public:
    explicit WaitSet(std::span<const Waitable* const> all) : all_{all} {}

    Expected<std::optional<WaitResult>> wait_any(Deadline deadline) const;
    Expected<bool> wait_all(Deadline deadline) const;

private:
    using Consumption = Waitable::Consumption;

    Expected<void> check() const;
    std::string_view daemon_path(std::size_t index) const;
    bool has_duplicates() const;
    // Tries each object once, without sleeping, until an attempt succeeds. Returns the result of
    // that attempt, or nothing if no attempt succeeds.
    Expected<std::optional<WaitResult>> try_consume() const;
    Expected<bool> await_each(AioPoller& poller, const std::vector<std::size_t>& which,
                              Deadline deadline) const;
    Expected<std::optional<std::size_t>> consume_all() const;
    Expected<std::int64_t> consume(std::size_t index) const;

    std::span<const Waitable* const> all_;
};

} // namespace evfd
