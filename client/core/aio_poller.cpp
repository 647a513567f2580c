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

// For how many descriptors a context is made: one does for most waits, and counts least against
// fs.aio-max-nr; the others have all that can be waited for at a time.
constexpr std::array<std::size_t, 2> sizes{32, 256};
constexpr std::size_t at_once = 32; // Completions that are reaped.
static_assert(sizes.back() >= max_names_per_call);

// AIO contexts that nobody uses at the moment: making one is cheap, but giving one up takes the
// kernel tens of milliseconds.
class Contexts {
public:
    explicit Contexts(const Contexts* parents) : parents_{parents} {}
    bool are_ours() const { return generation_ == generation(); }

    std::optional<Aio> take(std::size_t count)
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
        auto made = Aio::create(static_cast<unsigned>(sizes[kind]));
        return made ? std::optional{*std::move(made)} : std::nullopt;
    }

    // What is beyond `max_free` is given up, once the mutex is free.
    void put(Aio aio, std::size_t count)
    {
        const std::lock_guard lock{mutex_};
        if (auto& free = free_[kind_for(count)]; free.size() < max_free)
            free.push_back(std::move(aio));
    }

private:
    static constexpr std::size_t max_free = 16; // Of each size.

    static std::size_t kind_for(std::size_t count) { return count <= sizes.front() ? 0 : 1; }

    [[maybe_unused]] const Contexts* parents_; // Not lost, for who looks for leaks.
    const int generation_ = generation();
    std::mutex mutex_;
    std::array<std::vector<Aio>, sizes.size()> free_;
};

// Never destroyed: the kernel takes the contexts back when the process ends. They do not survive
// fork(2), at which another thread may be in the midst of them: a child has contexts of its own.
Contexts& contexts()
{
    static std::atomic<Contexts*> all{nullptr};
    auto* present = all.load();
    while (!present || !present->are_ours()) {
        auto own = std::make_unique<Contexts>(present);
        if (all.compare_exchange_strong(present, own.get()))
            return *own.release();
    }
    return *present;
}

std::optional<nanoseconds> left(Deadline deadline)
{
    return deadline ? std::optional{left_until(*deadline)} : std::nullopt;
}

Error failure(const Fault& fault)
{
    return {ErrorCode::system, fault.message()};
}

} // namespace

Poller::Poller(std::size_t count) : slots_(count)
{
    aio_ = contexts().take(count);
}

bool Poller::can_latch()
{
    Poller one{1};
    return one.aio_.has_value();
}

Poller::~Poller()
{
    if (!aio_)
        return;
    for (auto& slot : slots_)
        if (slot.is_armed)
            aio_->cancel(slot.operation);
    std::array<io_event, at_once> completions;
    while (in_flight_ > 0) { // Each that was begun completes, now that all are cancelled.
        const auto reaped = aio_->reap(completions, 1, std::nullopt);
        if (reaped)
            in_flight_ -= *reaped;
        else if (reaped.error().error != EINTR)
            return;
    }
    contexts().put(*std::move(aio_), slots_.size());
}

Result<void> Poller::begin(Slot& slot, std::size_t index)
{
    slot.operation = {};
    slot.operation.aio_lio_opcode = IOCB_CMD_POLL;
    slot.operation.aio_fildes = static_cast<std::uint32_t>(slot.fd);
    slot.operation.aio_buf = POLLIN;
    slot.operation.aio_data = index;
    std::array<iocb*, 1> one{&slot.operation};
    const auto begun = aio_->submit(one);
    if (!begun)
        return std::unexpected(begun.error());
    return {};
}

Try<void> Poller::arm(std::size_t index, int fd)
{
    auto& slot = slots_[index];
    slot.fd = fd;
    slot.is_armed = true;
    if (!aio_)
        return {};
    const auto begun = begin(slot, index);
    if (begun) {
        ++in_flight_;
        return {};
    }
    if (begun.error().error == EINVAL && in_flight_ == 0) {
        aio_.reset(); // A kernel before 4.18, which has no IOCB_CMD_POLL.
        return {};
    }
    slot.is_armed = false;
    return std::unexpected(failure(begun.error()));
}

Try<std::vector<std::size_t>> Poller::next(Deadline deadline)
{
    return aio_ ? next_by_aio(deadline) : next_by_poll(deadline);
}

Try<std::vector<std::size_t>> Poller::next_by_aio(Deadline deadline)
{
    std::array<io_event, at_once> completions;
    while (true) {
        const auto patience = left(deadline);
        const auto reaped = aio_->reap(completions, 1, patience);
        if (!reaped && reaped.error().error != EINTR)
            return std::unexpected(failure(reaped.error()));
        if (reaped && *reaped == 0 && patience == nanoseconds{0})
            return std::vector<std::size_t>{};
        std::vector<std::size_t> rung;
        for (std::size_t i = 0; reaped && i < *reaped; ++i) {
            --in_flight_;
            slots_[completions[i].data].is_armed = false;
            rung.push_back(completions[i].data);
        }
        if (!rung.empty())
            return rung;
    }
}

Try<std::vector<std::size_t>> Poller::next_by_poll(Deadline deadline)
{
    std::vector<pollfd> wanted;
    for (const auto& slot : slots_)
        wanted.push_back({slot.is_armed ? slot.fd : -1, POLLIN, 0});
    while (true) {
        const auto patience = left(deadline);
        const auto span = to_timespec(patience.value_or(nanoseconds{0}));
        const int ready =
            ::ppoll(wanted.data(), wanted.size(), patience ? &span : nullptr, nullptr);
        if (ready < 0 && errno != EINTR)
            return std::unexpected(failure(Fault::last("ppoll(2)")));
        if (ready == 0 && patience == nanoseconds{0})
            return std::vector<std::size_t>{};
        std::vector<std::size_t> rung;
        for (std::size_t i = 0; ready > 0 && i < wanted.size(); ++i)
            if (wanted[i].revents != 0) {
                slots_[i].is_armed = false;
                rung.push_back(i);
            }
        if (!rung.empty())
            return rung;
    }
}

} // namespace evfd
