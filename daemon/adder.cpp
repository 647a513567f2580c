#include "daemon/adder.h"

#include "common/clock.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace evfd::daemon {

Result<Adder> Adder::create()
{
    auto aio = Aio::create(batch);
    if (!aio)
        return std::unexpected(aio.error());
    UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (!null)
        return std::unexpected(Fault::last("open(/dev/null)"));
    return Adder{*std::move(aio), std::move(null)};
}

iocb Adder::tell(int eventfd) const
{
    static char unused;
    iocb operation{};
    operation.aio_lio_opcode = IOCB_CMD_PREAD;
    operation.aio_fildes = static_cast<std::uint32_t>(null_.get());
    operation.aio_buf = reinterpret_cast<std::uintptr_t>(&unused);
    operation.aio_nbytes = 1;
    operation.aio_flags = IOCB_FLAG_RESFD;
    operation.aio_resfd = static_cast<std::uint32_t>(eventfd);
    return operation;
}

Result<void> Adder::submit(std::span<iocb*> operations) const
{
    std::array<io_event, batch> completions;
    while (!operations.empty()) {
        const auto begun = aio_.submit(operations);
        if (!begun)
            return std::unexpected(begun.error());
        // They are complete already; reaping makes room for the next.
        if (const auto reaped = aio_.reap(completions, *begun, nanoseconds{0}); !reaped)
            return std::unexpected(reaped.error());
        operations = operations.subspan(*begun);
    }
    return {};
}

Result<void> Adder::add(std::span<const int> eventfds) const
{
    std::array<iocb, batch> operations;
    std::array<iocb*, batch> pointers;
    while (!eventfds.empty()) {
        const auto count = std::min(eventfds.size(), batch);
        for (std::size_t i = 0; i < count; ++i) {
            operations[i] = tell(eventfds[i]);
            pointers[i] = &operations[i];
        }
        if (const auto added = submit(std::span{pointers}.first(count)); !added)
            return added;
        eventfds = eventfds.subspan(count);
    }
    return {};
}

Result<void> Adder::add(const UniqueFd& eventfd, std::int64_t times) const
{
    auto operation = tell(eventfd.get());
    std::array<iocb*, batch> pointers;
    pointers.fill(&operation);
    while (times > 0) {
        const auto count = std::min(times, static_cast<std::int64_t>(batch));
        if (const auto added = submit(std::span{pointers}.first(static_cast<std::size_t>(count)));
            !added)
            return added;
        times -= count;
    }
    return {};
}

} // namespace evfd::daemon
