#include "evfd/waitable.h"

#include "client/core/connection_pool.h"
#include "client/core/wait_set.h"
#include "client/core/aio_poller.h"
#include "common/eventfd.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <exception>
#include <utility>

namespace evfd {

Waitable::Waitable(std::shared_ptr<Daemon> daemon, Name name, Access access, UniqueFd fd,
                   std::string subscription)
    : daemon_{std::move(daemon)}, name_{std::move(name)}, access_{access}, fd_{std::move(fd)},
      subscription_{std::move(subscription)}
{
}

Waitable::Waitable(Waitable&&) noexcept = default;

Waitable& Waitable::operator=(Waitable&& other) noexcept
{
    if (this == &other)
        return *this;
    unsubscribe();
    daemon_ = std::move(other.daemon_);
    name_ = std::move(other.name_);
    access_ = other.access_;
    fd_ = std::move(other.fd_);
    subscription_ = std::exchange(other.subscription_, {});
    return *this;
}

Waitable::~Waitable()
{
    unsubscribe();
}

void Waitable::unsubscribe() const noexcept
{
    if (!daemon_ || subscription_.empty())
        return;
    try {
        daemon_->tell(protocol::Unsubscribe{subscription_}); // Else it would go on feeding it.
    } catch (const std::exception&) { // For want of memory: then it feeds it until we end.
    }
}

Try<bool> Waitable::is_set() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Right::wait));
    return is_readable(fd_);
}

Error Waitable::not_permitted(Right right) const
{
    const bool is_wait = right == Right::wait;
    return {ErrorCode::refused,
            fmt::format("you may not {} '{}'; ask its owner for the {} right, or the administrator "
                        "if the policy is against it",
                        is_wait ? "wait for" : "set, clear or arm", name_.text(),
                        is_wait ? 'r' : 'w')};
}

Try<void> Waitable::check_wait() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Right::wait));
    if (taking() == Taking::shared && !access_.set)
        return std::unexpected(
            Error{ErrorCode::refused,
                  fmt::format("you may not take from '{}': a wait that consumes needs r and w; ask "
                              "its owner for the w right, or the administrator if the policy is "
                              "against it",
                              name_.text())});
    return {};
}

Try<std::int64_t> Waitable::wait_to_take(std::optional<MonotonicTime> deadline) const
{
    while (true) { // What is to be taken stays until it is taken: poll(2) cannot miss it.
        const auto taken = take();
        if (!taken || *taken > 0)
            return taken;
        pollfd wanted{fd_.get(), POLLIN, 0};
        const auto span = to_timespec(deadline ? left_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&wanted, 1, deadline ? &span : nullptr, nullptr);
        if (ready == 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return std::unexpected(Error{ErrorCode::system, Fault::last("ppoll(2)").message()});
    }
}

Try<std::optional<Woken>> wait_any(std::span<const Waitable* const> all,
                                   std::optional<nanoseconds> timeout)
{
    return Gathering{all}.wait_any(deadline_after(timeout));
}

Try<bool> wait_all(std::span<const Waitable* const> all, std::optional<nanoseconds> timeout)
{
    return Gathering{all}.wait_all(deadline_after(timeout));
}

bool latches_waits()
{
    return Poller::can_latch();
}

} // namespace evfd
