// AioPoller: waits until at least one of several descriptors is readable. Each call of arm() makes
// the poller report a descriptor once.
#pragma once

#include "client/core/connection.h"
#include "common/aio.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace evfd {

// The poller uses kernel AIO. The kernel completes an AIO operation during the wake-up, so the
// poller reports a descriptor even if it was readable only for a short time. poll(2) and epoll(7)
// check the descriptor again after the wake-up, and can miss a short change. Where AIO is not
// available, the poller uses poll(2).
class AioPoller {
public:
    // Makes a poller for `count` descriptors, at most 256. The caller identifies each of them by
    // its index.
    explicit AioPoller(std::size_t count);
    AioPoller(const AioPoller&) = delete;
    AioPoller& operator=(const AioPoller&) = delete;
    ~AioPoller();

    static bool supports_latched_wait();

    // Watches the descriptor until it becomes readable. The descriptor must stay open as long as
    // the poller exists.
    Expected<void> arm(std::size_t index, int fd);
    // Waits until at least one armed descriptor is ready. Returns the indices of the ready
    // descriptors, or an empty list if the deadline passed first.
    Expected<std::vector<std::size_t>> wait(Deadline deadline);

private:
    struct Slot {
        int fd = -1;
        bool is_armed = false;
        iocb operation{};
    };

    Expected<std::vector<std::size_t>> wait_by_aio(Deadline deadline);
    Expected<std::vector<std::size_t>> wait_by_poll(Deadline deadline);
    Result<void> submit_poll(Slot& slot, std::size_t index);

    std::vector<Slot> slots_;
    std::optional<Aio> aio_;
    std::size_t in_flight_ = 0;
};

} // namespace evfd
