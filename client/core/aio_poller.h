// AioPoller: waits for several descriptors, and reports each of them once per arm().
#pragma once

#include "client/core/connection.h"
#include "common/aio.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace evfd {

// A poller built on kernel AIO reports a descriptor that became readable even if it is not readable
// any more, because the wake-up itself completes the operation. poll(2) and epoll(7) check the
// descriptor again after the wake-up, and would miss so short a change. The poller uses poll(2)
// only where AIO is not available.
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
    // the poller lives.
    Expected<void> arm(std::size_t index, int fd);
    // Returns the indices that became ready, at least one, or none if the deadline passed first.
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
