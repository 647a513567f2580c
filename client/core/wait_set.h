// A wait for any or all of several, each on its descriptor.
#pragma once

#include "client/core/connection.h"
#include "evfd/error.h"
#include "evfd/waitable.h"
#include "client/core/aio_poller.h"

#include <span>
#include <string_view>
#include <vector>

namespace evfd {

class Gathering {
public:
    explicit Gathering(std::span<const Waitable* const> all) : all_{all} {}

    Try<std::optional<Woken>> wait_any(Deadline deadline) const;
    Try<bool> wait_all(Deadline deadline) const;

private:
    using Taking = Waitable::Taking;

    Try<void> check() const;
    std::string_view path_of(std::size_t index) const;
    bool has_twins() const;
    // What is there is taken without getting ready for sleep.
    Try<std::optional<Woken>> look() const;
    Try<bool> latch(Poller& poller, const std::vector<std::size_t>& which, Deadline deadline) const;
    Try<std::optional<std::size_t>> take_all() const;
    Try<std::int64_t> take(std::size_t index) const;

    std::span<const Waitable* const> all_;
};

} // namespace evfd
