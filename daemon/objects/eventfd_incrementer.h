// EventfdIncrementer: increments eventfds that clients hold. A write(2) could block the daemon: a
// client can switch O_NONBLOCK off for the shared open file and fill the counter. The incrementer
// therefore uses kernel AIO. An AIO operation can name an eventfd (IOCB_FLAG_RESFD). When the
// operation completes, the kernel adds 1 to this eventfd and never blocks. A full counter stays
// full. The incrementer submits reads of one zero byte from /dev/zero, which complete at once. If
// the caller of add() supplies a completion byte, which is in the progress page, the kernel writes
// the zero byte there. The completion byte thus records that the increment was made. See
// io_submit(2).
#pragma once

#include "common/aio.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/limits.h"

#include <array>
#include <memory>
#include <span>
#include <utility>

namespace evfd::daemon {

// Copies of an incrementer share one AIO context, because the kernel takes tens of milliseconds to
// destroy a context.
class EventfdIncrementer {
public:
    // Creates an incrementer. Allocates the AIO context here and not with the first increment,
    // because other processes can use up all AIO contexts. Fails with EAGAIN if the limit
    // fs.aio-max-nr is reached.
    static Result<EventfdIncrementer> create();

    // Adds 1 to an eventfd for each time that the list contains the eventfd. `completion_bytes` is
    // empty or has one byte for each entry of the list. When the kernel makes the increment of an
    // entry, it also sets the byte of that entry to 0.
    Result<void> add(std::span<const int> eventfds, std::span<char> completion_bytes = {}) const;

private:
    struct Context {
        Aio aio;
        UniqueFd zeros;
    };

    explicit EventfdIncrementer(Context context)
        : context_{std::make_shared<const Context>(std::move(context))}
    {
    }
    iocb make_iocb(int eventfd, char& completion_byte) const;
    Result<void> submit(std::span<iocb*> operations) const;

    std::shared_ptr<const Context> context_;
};

} // namespace evfd::daemon
