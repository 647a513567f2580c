#include "evfd/waitable.h"

#include "client/core/aio_poller.h"
#include "client/core/connection_pool.h"
#include "client/core/wait_set.h"
#include "common/eventfd.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <exception>
#include <utility>

namespace evfd {

Waitable::Waitable(std::shared_ptr<ConnectionPool> pool, Name name, Access access, UniqueFd fd,
                   std::string subscription)
    : pool_{std::move(pool)}, name_{std::move(name)}, access_{access}, fd_{std::move(fd)},
      subscription_{std::move(subscription)}
{
}

Waitable::Waitable(Waitable&&) noexcept = default;

Waitable& Waitable::operator=(Waitable&& other) noexcept
{
    if (this == &other)
        return *this;
    unsubscribe();
    pool_ = std::move(other.pool_);
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
    if (!pool_ || subscription_.empty())
        return;
    try {
        // Without this call, the daemon would keep writing to the descriptor.
        pool_->send_oneway(protocol::Unsubscribe{subscription_});
    } catch (const std::exception&) {
        // Memory ran out: the subscription lasts until the session or the process ends.
    }
}

Expected<bool> Waitable::is_set() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Permission::wait));
    return is_readable(fd_);
}

Error Waitable::not_permitted(Permission permission) const
{
    const bool is_wait = permission == Permission::wait;
    return {ErrorCode::refused,
            fmt::format("you may not {} '{}'; ask its owner for the {} permission, or the "
                        "administrator if the policy denies it",
                        is_wait ? "wait for" : "set, clear or arm", name_.text(),
                        is_wait ? 'r' : 'w')};
}

Expected<void> Waitable::check_wait() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Permission::wait));
    if (consumption() == Consumption::shared && !access_.set)
        return std::unexpected(
            Error{ErrorCode::refused,
                  fmt::format(
                      "you may not consume from '{}': a wait that consumes needs r and w; ask its "
                      "owner for the w permission, or the administrator if the policy denies it",
                      name_.text())});
    return {};
}

Expected<std::int64_t> Waitable::wait_and_consume(std::optional<MonotonicTime> deadline) const
{
    // poll(2) can miss a short change, but the loop loses nothing: a token, a pulse or an
    // expiration stays in the counter until it is consumed.
    while (true) {
        const auto consumed = consume();
        if (!consumed || *consumed > 0)
            return consumed;
        pollfd polled{fd_.get(), POLLIN, 0};
        const auto limit = to_timespec(deadline ? time_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&polled, 1, deadline ? &limit : nullptr, nullptr);
        if (ready == 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return std::unexpected(Error{ErrorCode::system, Fault::last("ppoll(2)").message()});
    }
}

Expected<std::optional<WaitResult>> wait_any(std::span<const Waitable* const> all,
                                             std::optional<nanoseconds> timeout)
{
    return WaitSet{all}.wait_any(to_deadline(timeout));
}

Expected<bool> wait_all(std::span<const Waitable* const> all, std::optional<nanoseconds> timeout)
{
    return WaitSet{all}.wait_all(to_deadline(timeout));
}

bool supports_latched_wait()
{
    return AioPoller::supports_latched_wait();
}

} // namespace evfd
