// Adds to eventfds that others hold. A write(2) could hang us: a holder can make the open file
// blocking and fill the counter. A kernel AIO operation that names an eventfd to be told
// (IOCB_FLAG_RESFD) has the kernel add 1 to it when it completes, and that never blocks, also when
// the counter is full: then it stays full. Reading /dev/null completes at once. io_submit(2)
#pragma once

#include "common/aio.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <array>
#include <span>

namespace evfd::daemon {

class Adder {
public:
    // Takes its AIO context now, before anyone can use them all up. EAGAIN: see fs.aio-max-nr.
    static Result<Adder> create();

    // Adds 1 to each; one that stands there n times gets n.
    Result<void> add(std::span<const int> eventfds) const;
    Result<void> add(const UniqueFd& eventfd, std::int64_t times) const;

private:
    static constexpr std::size_t batch = 128;

    Adder(Aio aio, UniqueFd null) : aio_{std::move(aio)}, null_{std::move(null)} {}
    iocb tell(int eventfd) const;
    Result<void> submit(std::span<iocb*> operations) const;

    Aio aio_;
    UniqueFd null_;
};

} // namespace evfd::daemon
