// A wait for any or all of several, each on its descriptor.
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
    // What is there is taken without getting ready for sleep.
    Expected<std::optional<WaitResult>> try_consume() const;
    Expected<bool> await_each(AioPoller& poller, const std::vector<std::size_t>& which,
                              Deadline deadline) const;
    Expected<std::optional<std::size_t>> consume_all() const;
    Expected<std::int64_t> consume(std::size_t index) const;

    std::span<const Waitable* const> all_;
};

} // namespace evfd
