// Adds to eventfds that others hold. A write(2) could hang us: a holder can make the open file
// blocking and fill the counter. A kernel AIO operation that names an eventfd to be told
// (IOCB_FLAG_RESFD) has the kernel add 1 to it when it completes, and that never blocks, also when
// the counter is full: then it stays full. Reading a zero byte of /dev/zero completes at once; it
// goes where it is to be noted that it was done (Slip). io_submit(2)
#pragma once

#include "common/aio.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <array>
#include <memory>
#include <span>
#include <utility>

namespace evfd::daemon {

// Copies share one context: it takes the kernel tens of milliseconds to let go of one.
class EventfdIncrementer {
public:
    // Takes its AIO context now, before anyone can use them all up. EAGAIN: see fs.aio-max-nr.
    static Result<EventfdIncrementer> create();

    // Adds 1 to each; one that stands there n times gets n. With each the kernel writes a zero over
    // its note, if there are notes: as many as there are eventfds.
    Result<void> add(std::span<const int> eventfds, std::span<char> completion_bytes = {}) const;
    Result<void> add(const UniqueFd& eventfd, std::int64_t times) const;

private:
    static constexpr std::size_t batch = 128;

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
