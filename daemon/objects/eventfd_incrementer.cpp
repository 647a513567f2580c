#include "daemon/objects/eventfd_incrementer.h"

#include "common/clock.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace evfd::daemon {

namespace {

// The AIO reads write their zero bytes here if the caller of add() supplies no completion bytes.
char discard_byte;

// Opens a file from which zero bytes can be read. Without /dev/zero, as in a small chroot, the
// function uses a memfd with a hole. A read from this memfd takes a quarter longer.
Result<UniqueFd> open_zeros()
{
    UniqueFd zeros{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    if (zeros)
        return zeros;
    zeros = UniqueFd{::memfd_create("evfdd-zeros", MFD_CLOEXEC)};
    if (!zeros)
        return std::unexpected(Fault::last("memfd_create(2)"));
    if (::ftruncate(zeros.get(), 1) < 0)
        return std::unexpected(Fault::last("ftruncate(2)"));
    return zeros;
}

} // namespace

Result<EventfdIncrementer> EventfdIncrementer::create()
{
    auto aio = Aio::create(max_increments_per_submit);
    if (!aio)
        return std::unexpected(aio.error());
    auto zeros = open_zeros();
    if (!zeros)
        return std::unexpected(zeros.error());
    return EventfdIncrementer{{*std::move(aio), *std::move(zeros)}};
}

iocb EventfdIncrementer::make_iocb(int eventfd, char& completion_byte) const
{
    iocb operation{};
    operation.aio_lio_opcode = IOCB_CMD_PREAD;
    operation.aio_fildes = static_cast<std::uint32_t>(context_->zeros.get());
    operation.aio_buf = reinterpret_cast<std::uintptr_t>(&completion_byte);
    operation.aio_nbytes = 1;
    operation.aio_flags = IOCB_FLAG_RESFD;
    operation.aio_resfd = static_cast<std::uint32_t>(eventfd);
    return operation;
}

Result<void> EventfdIncrementer::submit(std::span<iocb*> operations) const
{
    while (!operations.empty()) {
        const auto submitted = context_->aio.submit(operations);
        if (!submitted)
            return std::unexpected(submitted.error());
        // A read of a zero byte completes while it is submitted. All submitted reads have therefore
        // completed, and their completions can be discarded now.
        if (const auto discarded = context_->aio.discard_completions(); !discarded)
            return discarded;
        operations = operations.subspan(*submitted);
    }
    return {};
}

Result<void> EventfdIncrementer::add(std::span<const int> eventfds,
                                     std::span<char> completion_bytes) const
{
    std::array<iocb, max_increments_per_submit> operations;
    std::array<iocb*, max_increments_per_submit> pointers;
    while (!eventfds.empty()) {
        const auto count = std::min(eventfds.size(), max_increments_per_submit);
        for (std::size_t i = 0; i < count; ++i) {
            operations[i] = make_iocb(eventfds[i], completion_bytes.empty() ? discard_byte
                                                                            : completion_bytes[i]);
            pointers[i] = &operations[i];
        }
        if (const auto added = submit(std::span{pointers}.first(count)); !added)
            return added;
        eventfds = eventfds.subspan(count);
        if (!completion_bytes.empty())
            completion_bytes = completion_bytes.subspan(count);
    }
    return {};
}

} // namespace evfd::daemon
