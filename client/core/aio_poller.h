// Descriptors of this process that are waited for together; each rings once, until it is armed
// again.
#pragma once

#include "client/core/connection.h"
#include "common/aio.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace evfd {

// With kernel AIO a descriptor that became readable has rung, even if it no longer is: the wake-up
// itself completes the operation. poll(2) and epoll(7) look again, and would miss it. Where AIO
// cannot be had, poll(2) it is.
class AioPoller {
public:
    // For that many descriptors, at most 256, known by their index.
    explicit AioPoller(std::size_t count);
    AioPoller(const AioPoller&) = delete;
    AioPoller& operator=(const AioPoller&) = delete;
    ~AioPoller();

    static bool supports_latched_wait();

    // Until it rings. The descriptor must stay open as long as the poller lives.
    Expected<void> arm(std::size_t index, int fd);
    // Which rang, at least one; none if the time was over.
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
