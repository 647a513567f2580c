#include "client/core/aio_poller.h"

#include "client/core/close_on_fork_fd.h"
#include "common/limits.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>

namespace evfd {

namespace {

// The two sizes of AIO contexts, as numbers of descriptors. The small size suffices for most waits
// and uses little of the machine's limit fs.aio-max-nr. The large size suffices for the largest
// possible wait.
constexpr std::array<std::size_t, 2> context_sizes{32, 256};
constexpr std::size_t max_reaped = 32; // The maximum number of completions per system call.
static_assert(context_sizes.back() >= max_names_per_call);

// Keeps AIO contexts that are not in use. The kernel creates a context quickly, but takes tens of
// milliseconds to destroy a context.
class AioContextPool {
public:
    explicit AioContextPool(const AioContextPool* parents) : inherited_{parents} {}
    bool is_of_this_process() const { return fork_generation_ == fork_generation(); }

    std::optional<Aio> acquire(std::size_t count)
    {
        const auto kind = kind_for(count);
        {
            const std::lock_guard lock{mutex_};
            if (auto& free = free_[kind]; !free.empty()) {
                auto aio = std::move(free.back());
                free.pop_back();
                return aio;
            }
        }
        auto made = Aio::create(static_cast<unsigned>(context_sizes[kind]));
        return made ? std::optional{*std::move(made)} : std::nullopt;
    }

    // Keeps the context for the next poller. If `max_free` contexts are already kept, destroys the
    // context after the mutex is unlocked, because the destruction takes long.
    void release(Aio aio, std::size_t count)
    {
        const std::lock_guard lock{mutex_};
        if (auto& free = free_[kind_for(count)]; free.size() < max_free)
            free.push_back(std::move(aio));
    }

private:
    static constexpr std::size_t max_free = 16; // The maximum number of kept contexts per size.

    static std::size_t kind_for(std::size_t count)
    {
        return count <= context_sizes.front() ? 0 : 1;
    }

    // The pool of the parent process, kept reachable so that leak checkers do not report it.
    [[maybe_unused]] const AioContextPool* inherited_;
    const int fork_generation_ = fork_generation();
    std::mutex mutex_;
    std::array<std::vector<Aio>, context_sizes.size()> free_;
};

// Returns the pool of this process. The pool is never destroyed, because the kernel releases the
// contexts when the process exits. A child of fork(2) makes a pool of its own: contexts do not
// survive a fork, and another thread of the parent was possibly using the parent's pool at the
// moment of the fork.
AioContextPool& contexts()
{
    static std::atomic<AioContextPool*> all{nullptr};
    auto* present = all.load();
    while (!present || !present->is_of_this_process()) {
        auto own = std::make_unique<AioContextPool>(present);
        if (all.compare_exchange_strong(present, own.get()))
            return *own.release();
    }
    return *present;
}

std::optional<nanoseconds> remaining(Deadline deadline)
{
    return deadline ? std::optional{time_until(*deadline)} : std::nullopt;
}

Error failure(const Fault& fault)
{
    return {ErrorCode::system, fault.message()};
}

} // namespace

AioPoller::AioPoller(std::size_t count) : slots_(count)
{
    aio_ = contexts().acquire(count);
}

bool AioPoller::supports_latched_wait()
{
    AioPoller one{1};
    return one.aio_.has_value();
}

AioPoller::~AioPoller()
{
    if (!aio_)
        return;
    for (auto& slot : slots_)
        if (slot.is_armed)
            aio_->cancel(slot.operation);
    std::array<io_event, max_reaped> completions;
    // The cancellation makes every submitted operation complete. This loop waits for all
    // completions.
    while (in_flight_ > 0) {
        const auto reaped = aio_->reap(completions, 1, std::nullopt);
        if (reaped)
            in_flight_ -= *reaped;
        else if (reaped.error().error != EINTR)
            return;
    }
    contexts().release(*std::move(aio_), slots_.size());
}

Result<void> AioPoller::submit_poll(Slot& slot, std::size_t index)
{
    slot.operation = {};
    slot.operation.aio_lio_opcode = IOCB_CMD_POLL;
    slot.operation.aio_fildes = static_cast<std::uint32_t>(slot.fd);
    slot.operation.aio_buf = POLLIN;
    slot.operation.aio_data = index;
    std::array<iocb*, 1> one{&slot.operation};
    const auto submitted = aio_->submit(one);
    if (!submitted)
        return std::unexpected(submitted.error());
    return {};
}

Expected<void> AioPoller::arm(std::size_t index, int fd)
{
    auto& slot = slots_[index];
    slot.fd = fd;
    slot.is_armed = true;
    if (!aio_)
        return {};
    const auto submitted = submit_poll(slot, index);
    if (submitted) {
        ++in_flight_;
        return {};
    }
    if (submitted.error().error == EINVAL && in_flight_ == 0) {
        // Kernels before 4.18 lack IOCB_CMD_POLL. On these kernels the AIO context is given up, so
        // wait() uses ppoll(2).
        aio_.reset();
        return {};
    }
    slot.is_armed = false;
    return std::unexpected(failure(submitted.error()));
}

Expected<std::vector<std::size_t>> AioPoller::wait(Deadline deadline)
{
    return aio_ ? wait_by_aio(deadline) : wait_by_poll(deadline);
}

Expected<std::vector<std::size_t>> AioPoller::wait_by_aio(Deadline deadline)
{
    std::array<io_event, max_reaped> completions;
    while (true) {
        const auto time_left = remaining(deadline);
        const auto reaped = aio_->reap(completions, 1, time_left);
        if (!reaped && reaped.error().error != EINTR)
            return std::unexpected(failure(reaped.error()));
        if (reaped && *reaped == 0 && time_left == nanoseconds{0})
            return std::vector<std::size_t>{};
        std::vector<std::size_t> indices;
        for (std::size_t i = 0; reaped && i < *reaped; ++i) {
            --in_flight_;
            slots_[completions[i].data].is_armed = false;
            indices.push_back(completions[i].data);
        }
        if (!indices.empty())
            return indices;
    }
}

Expected<std::vector<std::size_t>> AioPoller::wait_by_poll(Deadline deadline)
{
    std::vector<pollfd> polled;
    for (const auto& slot : slots_)
        polled.push_back({slot.is_armed ? slot.fd : -1, POLLIN, 0});
    while (true) {
        const auto time_left = remaining(deadline);
        const auto timeout = to_timespec(time_left.value_or(nanoseconds{0}));
        const int ready =
            ::ppoll(polled.data(), polled.size(), time_left ? &timeout : nullptr, nullptr);
        if (ready < 0 && errno != EINTR)
            return std::unexpected(failure(Fault::last("ppoll(2)")));
        if (ready == 0 && time_left == nanoseconds{0})
            return std::vector<std::size_t>{};
        std::vector<std::size_t> indices;
        for (std::size_t i = 0; ready > 0 && i < polled.size(); ++i)
            if (polled[i].revents != 0) {
                slots_[i].is_armed = false;
                indices.push_back(i);
            }
        if (!indices.empty())
            return indices;
    }
}

} // namespace evfd
