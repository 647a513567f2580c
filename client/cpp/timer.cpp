#include "evfd/timer.h"

#include "client/core/connection_pool.h"
#include "client/core/schedule_request.h"
#include "common/timerfd.h"

#include <fmt/format.h>

#include <cerrno>

namespace evfd {

Expected<void> Timer::arm(const Schedule& schedule) const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Permission::set));
    auto request = to_arm_request(name_, schedule);
    if (!request)
        return std::unexpected(std::move(request.error()));
    const auto armed = pool_->call(*std::move(request));
    return armed ? Expected<void>{} : std::unexpected(armed.error());
}

Expected<void> Timer::disarm() const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Permission::set));
    const auto done = pool_->call(protocol::Disarm{{{{name_}}}});
    return done ? Expected<void>{} : std::unexpected(done.error());
}

Expected<std::int64_t> Timer::wait(std::optional<nanoseconds> timeout) const
{
    return wait_by(to_deadline(timeout));
}

Expected<std::int64_t> Timer::wait_until(MonotonicTime deadline) const
{
    return wait_by(deadline);
}

Expected<std::int64_t> Timer::wait_by(std::optional<MonotonicTime> deadline) const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Permission::wait));
    return wait_and_consume(deadline);
}

Expected<std::int64_t> Timer::consume() const
{
    const auto consumed = take_expirations(fd_);
    if (consumed)
        return static_cast<std::int64_t>(*consumed);
    if (consumed.error().error != ECANCELED)
        return std::unexpected(Error{ErrorCode::system, consumed.error().message()});
    // Makes the daemon disarm the timerfd. An armed timerfd would continue to expire by its old
    // schedule.
    pool_->send_oneway(protocol::Acknowledge{subscription_});
    return std::unexpected(Error{
        ErrorCode::cancelled,
        fmt::format("the wall clock was set, which cancels '{}'; arm it again", name_.text())});
}

Expected<std::optional<nanoseconds>> Timer::remaining() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Permission::wait));
    const auto left = time_left(fd_);
    if (!left)
        return std::unexpected(Error{ErrorCode::system, left.error().message()});
    return *left > nanoseconds{0} ? std::optional{*left} : std::nullopt;
}

} // namespace evfd
