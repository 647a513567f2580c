// Aio: a context of Linux kernel AIO, io_setup(2).
//
// Two things are possible with kernel AIO only:
//
// - Adding to an eventfd without ever blocking. O_NONBLOCK belongs to the open file, so another
//   process with the eventfd can switch it off for the daemon. An AIO write does not block in that
//   case, but completes later (EventfdIncrementer).
// - A wait that does not miss a set which is followed immediately by a clear. An IOCB_CMD_POLL
//   completes when the eventfd becomes readable, and stays completed (the client's latched wait).
//
// The caller fills iocbs, submits them, and reaps their completions, or discards the completions if
// the results are known from elsewhere. The kernel copies the iocbs at submit(). The memory that
// the iocbs point to must stay until the completion.
//
// Invariants:
//
// - The number of operations under way never exceeds the number that create() was given.
// - Contexts are scarce: all processes of the machine share fs.aio-max-nr operations.
#pragma once

#include "common/result.h"

#include <linux/aio_abi.h>

#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace evfd {

class Aio {
public:
    // The name of the system call in the Fault that a failed create() returns.
    static constexpr std::string_view set_up_call = "io_setup(2)";
    // Creates a context for `operations` operations at a time. These operations count against the
    // machine's limit fs.aio-max-nr. If the limit leaves too few operations, fails with EAGAIN.
    static Result<Aio> create(unsigned operations);
    Aio(Aio&& other) noexcept : context_{std::exchange(other.context_, 0)} {}
    Aio& operator=(Aio&& other) noexcept
    {
        std::swap(context_, other.context_);
        return *this;
    }
    ~Aio();

    // Submits operations and returns how many of them the kernel accepted. The number is smaller
    // than the number of operations if the kernel refused an operation. The kernel copies each
    // iocb.
    Result<std::size_t> submit(std::span<iocb*> operations) const;
    // Waits until there are at least `min_events` completions, or until `timeout` is over. Returns
    // the number of completions that were stored in `into`. Without a timeout, reap() waits
    // indefinitely.
    Result<std::size_t> reap(std::span<io_event> into, std::size_t min_events,
                             std::optional<std::chrono::nanoseconds> timeout) const;
    // Discards all completions, to make room for further operations.
    Result<void> discard_completions() const;
    // Cancels an operation; reap() still returns its completion.
    void cancel(iocb& operation) const;

private:
    explicit Aio(aio_context_t context) : context_{context} {}
    aio_context_t context_;
};

} // namespace evfd
