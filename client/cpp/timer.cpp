#include "evfd/timer.h"

#include "client/core/schedule_request.h"
#include "client/core/connection_pool.h"
#include "common/timerfd.h"

#include <fmt/format.h>

#include <cerrno>

namespace evfd {

Try<void> Timer::arm(const Schedule& schedule) const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Right::set));
    auto request = to_request(name_, schedule);
    if (!request)
        return std::unexpected(std::move(request.error()));
    const auto armed = daemon_->call(*std::move(request));
    return armed ? Try<void>{} : std::unexpected(armed.error());
}

Try<void> Timer::disarm() const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Right::set));
    const auto done = daemon_->call(protocol::Disarm{{{name_}}});
    return done ? Try<void>{} : std::unexpected(done.error());
}

Try<std::int64_t> Timer::wait(std::optional<nanoseconds> timeout) const
{
    return wait_by(deadline_after(timeout));
}

Try<std::int64_t> Timer::wait_until(MonotonicTime deadline) const
{
    return wait_by(deadline);
}

Try<std::int64_t> Timer::wait_by(std::optional<MonotonicTime> deadline) const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Right::wait));
    return wait_to_take(deadline);
}

Try<std::int64_t> Timer::take() const
{
    const auto taken = take_expirations(fd_);
    if (taken)
        return static_cast<std::int64_t>(*taken);
    if (taken.error().error != ECANCELED)
        return std::unexpected(Error{ErrorCode::system, taken.error().message()});
    daemon_->tell(protocol::Acknowledge{subscription_}); // The kernel would let it go on.
    return std::unexpected(Error{
        ErrorCode::cancelled,
        fmt::format("the wall clock was set, which cancels '{}'; arm it anew", name_.text())});
}

Try<std::optional<nanoseconds>> Timer::remaining() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Right::wait));
    const auto left = time_left(fd_);
    if (!left)
        return std::unexpected(Error{ErrorCode::system, left.error().message()});
    return *left > nanoseconds{0} ? std::optional{*left} : std::nullopt;
}

} // namespace evfd
