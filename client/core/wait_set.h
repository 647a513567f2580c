// WaitSet: a wait for any or for all of several open objects, on their descriptors.
//
// wait_any() tries each object once without sleeping, then sleeps until one becomes readable and
// consumes from it. If another waiter was faster, it sleeps again.
//
// wait_all() sleeps until every object has become readable at least once, whether or not it still
// is, and then consumes from all. If one of them has nothing left, it returns what it has consumed
// and sleeps until that one becomes readable again.
//
// What must hold:
//   - No object is in the set twice: a single token could not serve both.
//   - Only shared tokens are returned. Private counts (pulses, timers) are consumed last, when
//     nothing can fail any more.
//   - A wait consumes nothing from an object unless it reports it.
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
    // Consumes what is available now, without preparing to sleep.
    Expected<std::optional<WaitResult>> try_consume() const;
    Expected<bool> await_each(AioPoller& poller, const std::vector<std::size_t>& which,
                              Deadline deadline) const;
    Expected<std::optional<std::size_t>> consume_all() const;
    Expected<std::int64_t> consume(std::size_t index) const;

    std::span<const Waitable* const> all_;
};

} // namespace evfd
