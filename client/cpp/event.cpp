#include "evfd/event.h"

#include "client/core/connection_pool.h"
#include "client/core/wait_set.h"
#include "common/eventfd.h"
#include "common/time_slice.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

namespace evfd {

namespace {

Error failure(const Fault& fault)
{
    return {ErrorCode::system, fault.message()};
}

} // namespace

Event::Event(std::shared_ptr<ConnectionPool> pool, Name name, Mode mode, Access access, UniqueFd fd,
             std::string subscription)
    : Waitable{std::move(pool), std::move(name), access, std::move(fd), std::move(subscription)},
      mode_{mode}
{
}

Waitable::Consumption Event::consumption() const
{
    switch (mode_) {
    case Mode::manual: return Consumption::none;
    case Mode::automatic:
    case Mode::semaphore: return Consumption::shared;
    case Mode::pulse: return Consumption::exclusive;
    }
    std::abort();
}

Expected<void> Event::set(std::int64_t count) const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Permission::set));
    if (count < 1 || count > max_tokens_per_set)
        return std::unexpected(Error{ErrorCode::invalid,
                                     fmt::format("a set adds 1 to {} tokens", max_tokens_per_set)});
    if (mode_ == Mode::pulse || !has_eventfd()) {
        auto done =
            pool_->call(protocol::Set{{{{.name = name_, .count = protocol::Tokens{count}}}}});
        return done ? Expected<void>{} : std::unexpected(done.error());
    }
    const auto tokens = mode_ == Mode::semaphore ? static_cast<std::uint64_t>(count) : 1;
    const auto added = add(fd_, tokens);
    // A full counter is an error only for a semaphore. Every other event with a full counter is
    // already set.
    if (added || (added.error().error == EAGAIN && mode_ != Mode::semaphore))
        return {};
    if (added.error().error == EAGAIN)
        return std::unexpected(Error{
            ErrorCode::refused,
            fmt::format("'{}' has no room for {} more tokens; consume some first, or clear it",
                        name_.text(), count),
            true});
    return std::unexpected(failure(added.error()));
}

Expected<void> Event::clear() const
{
    if (mode_ == Mode::pulse ? !access_.wait : !access_.set)
        return std::unexpected(
            not_permitted(mode_ == Mode::pulse ? Permission::wait : Permission::set));
    if (!has_eventfd())
        return pool_->clear({{{{name_}}}});
    if (mode_ == Mode::semaphore)
        return clear_semaphore();
    const auto consumed = evfd::take(fd_);
    return consumed ? Expected<void>{} : std::unexpected(failure(consumed.error()));
}

Expected<void> Event::clear_semaphore() const
{
    constexpr std::chrono::milliseconds time_slice{1};
    std::optional<std::uint64_t> remaining;
    while (true) {
        const auto is_clear = drain(fd_, remaining, TimeSlice{time_slice});
        if (is_clear && *is_clear)
            return {};
        if (!is_clear && is_clear.error().error == E2BIG)
            return std::unexpected(
                Error{ErrorCode::refused,
                      fmt::format("'{}' has more than {} tokens, which can only be consumed one by "
                                  "one; delete it, and create it again",
                                  name_.text(), max_tokens_per_clear),
                      true});
        if (!is_clear)
            return std::unexpected(failure(is_clear.error()));
    }
}

Expected<std::int64_t> Event::consume() const
{
    const auto consumed = evfd::take(fd_);
    if (!consumed)
        return std::unexpected(failure(consumed.error()));
    return mode_ == Mode::pulse ? static_cast<std::int64_t>(*consumed) : (*consumed > 0 ? 1 : 0);
}

Expected<void> Event::restore(std::int64_t count) const
{
    const auto restored = add(fd_, static_cast<std::uint64_t>(count));
    return restored ? Expected<void>{} : std::unexpected(failure(restored.error()));
}

Expected<std::int64_t> Event::wait(std::optional<nanoseconds> timeout) const
{
    return wait_by(to_deadline(timeout));
}

Expected<std::int64_t> Event::wait_until(MonotonicTime deadline) const
{
    return wait_by(deadline);
}

Expected<std::int64_t> Event::wait_by(std::optional<MonotonicTime> deadline) const
{
    if (auto permitted = check_wait(); !permitted)
        return std::unexpected(std::move(permitted.error()));
    if (mode_ != Mode::manual)
        return wait_and_consume(deadline);
    if (is_readable(fd_))
        return 1; // The event is already set, so no AioPoller is needed.
    const Waitable* one[] = {this};
    const auto result = WaitSet{one}.wait_any(deadline);
    if (!result)
        return std::unexpected(result.error());
    return *result ? (*result)->count : 0;
}

} // namespace evfd
