#include "common/aio.h"

#include "common/clock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace evfd {

Result<Aio> Aio::create(unsigned operations)
{
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, operations, &context) < 0)
        return std::unexpected(Fault::last("io_setup(2)"));
    return Aio{context};
}

Aio::~Aio()
{
    if (context_ != 0)
        ::syscall(SYS_io_destroy, context_);
}

Result<std::size_t> Aio::submit(std::span<iocb*> operations) const
{
    const auto begun =
        ::syscall(SYS_io_submit, context_, static_cast<long>(operations.size()), operations.data());
    if (begun < 0)
        return std::unexpected(Fault::last("io_submit(2)"));
    return static_cast<std::size_t>(begun);
}

Result<std::size_t> Aio::reap(std::span<io_event> into, std::size_t least,
                              std::optional<std::chrono::nanoseconds> timeout) const
{
    auto span = to_timespec(timeout.value_or(std::chrono::nanoseconds{0}));
    const auto reaped =
        ::syscall(SYS_io_getevents, context_, static_cast<long>(least),
                  static_cast<long>(into.size()), into.data(), timeout ? &span : nullptr);
    if (reaped < 0)
        return std::unexpected(Fault::last("io_getevents(2)"));
    return static_cast<std::size_t>(reaped);
}

void Aio::cancel(iocb& operation) const
{
    io_event unused{};
    ::syscall(SYS_io_cancel, context_, &operation, &unused);
}

} // namespace evfd
