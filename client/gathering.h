// A wait for any or all of several. Each is waited for on its descriptor, but what the caller may
// only take from through the daemon.
#pragma once

#include "client/channel.h"
#include "client/evfd/error.h"
#include "client/evfd/waitable.h"
#include "client/poller.h"

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
    // Indices of all_: which are waited for where.
    struct Places {
        std::vector<std::size_t> here;
        std::vector<std::size_t> daemon;
    };

    Try<Places> places() const;
    std::string_view path_of(std::size_t index) const;
    bool has_twins() const;
    protocol::Wait request(const std::vector<std::size_t>& which, Gather gather) const;
    std::vector<Woken> woken(const std::vector<protocol::Fired>& fired,
                             const std::vector<std::size_t>& which) const;
    Try<std::vector<Woken>> wait_through_daemon(const std::vector<std::size_t>& which,
                                                Gather gather, Deadline deadline) const;
    Try<std::optional<Woken>> look_here() const;
    Try<std::optional<Woken>> wait_any_here(Deadline deadline) const;
    Try<std::vector<std::size_t>> ring_in_both(Poller& poller, const Places& places, int answer,
                                               Deadline deadline) const;
    Try<std::optional<Woken>> wait_any_in_both(const Places& places, Deadline deadline) const;
    Try<bool> wait_all_here(std::vector<std::size_t> which, Deadline deadline) const;
    Try<bool> latch(Poller& poller, const std::vector<std::size_t>& which, Deadline deadline) const;
    Try<std::optional<std::size_t>> take_all() const;
    Try<std::int64_t> take(std::size_t index) const;

    std::span<const Waitable* const> all_;
};

} // namespace evfd
