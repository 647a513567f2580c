#include "client/evfd/event.h"

#include "client/daemon.h"
#include "client/gathering.h"
#include "client/poller.h"
#include "common/eventfd.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>

namespace evfd {

namespace {

Error failure(const Fault& fault)
{
    return {ErrorCode::system, fault.message()};
}

Deadline deadline_after(std::optional<nanoseconds> timeout)
{
    return timeout ? Deadline{monotonic_after(*timeout)} : Deadline{};
}

} // namespace

Event::Event(std::shared_ptr<Daemon> daemon, Name name, Mode mode, Access access, UniqueFd fd,
             std::string subscription)
    : daemon_{std::move(daemon)}, name_{std::move(name)}, mode_{mode}, access_{access},
      fd_{std::move(fd)}, subscription_{std::move(subscription)}
{
}

Event::Event(Event&&) noexcept = default;
Event& Event::operator=(Event&& other) noexcept
{
    Event taken{std::move(other)};
    std::swap(daemon_, taken.daemon_);
    std::swap(name_, taken.name_);
    std::swap(mode_, taken.mode_);
    std::swap(access_, taken.access_);
    std::swap(fd_, taken.fd_);
    std::swap(subscription_, taken.subscription_);
    return *this;
}

Event::~Event()
{
    if (daemon_ && !subscription_.empty()) // Else the daemon would go on feeding it.
        daemon_->tell(protocol::Unsubscribe{subscription_});
}

Error Event::not_permitted(Right right) const
{
    const bool is_wait = right == Right::wait;
    return {ErrorCode::refused,
            fmt::format("you may not {} '{}'; ask its owner for the {} right",
                        is_wait ? "wait for" : "set or clear", name_.text(), is_wait ? 'r' : 'w')};
}

bool Event::takes_through_daemon() const
{
    return access_.wait && !has_eventfd() && mode_ != Mode::manual;
}

Try<void> Event::set(std::int64_t count) const
{
    if (!access_.set)
        return std::unexpected(not_permitted(Right::set));
    if (count < 1 || count > max_tokens_per_set)
        return std::unexpected(Error{ErrorCode::invalid,
                                     fmt::format("a set adds 1 to {} tokens", max_tokens_per_set)});
    if (mode_ == Mode::pulse || !has_eventfd()) {
        auto done = daemon_->call(protocol::Set{{{name_}}, protocol::Tokens{count}});
        return done ? Try<void>{} : std::unexpected(done.error());
    }
    const auto tokens = mode_ == Mode::semaphore ? static_cast<std::uint64_t>(count) : 1;
    const auto added = add(fd_, tokens);
    if (added || (added.error().error == EAGAIN && mode_ != Mode::semaphore)) // Full is set.
        return {};
    if (added.error().error == EAGAIN)
        return std::unexpected(
            Error{ErrorCode::refused,
                  fmt::format("'{}' has no room for {} more tokens; take some first, or clear it",
                              name_.text(), count)});
    return std::unexpected(failure(added.error()));
}

Try<void> Event::clear() const
{
    if (mode_ == Mode::pulse ? !access_.wait : !access_.set)
        return std::unexpected(not_permitted(mode_ == Mode::pulse ? Right::wait : Right::set));
    if (!has_eventfd()) {
        auto done = daemon_->call(protocol::Clear{{{name_}}});
        return done ? Try<void>{} : std::unexpected(done.error());
    }
    // A semaphore gives one token a read; others may add meanwhile.
    for (std::int64_t tokens = 0; tokens < max_tokens_per_clear; ++tokens) {
        const auto taken = evfd::take(fd_);
        if (!taken)
            return std::unexpected(failure(taken.error()));
        if (*taken == 0 || mode_ != Mode::semaphore)
            return {};
    }
    return std::unexpected(
        Error{ErrorCode::refused, fmt::format("'{}' had more than the {} tokens that one call "
                                              "takes; clear it again",
                                              name_.text(), max_tokens_per_clear)});
}

Try<bool> Event::is_set() const
{
    if (!access_.wait)
        return std::unexpected(not_permitted(Right::wait));
    return is_readable(fd_);
}

Try<std::int64_t> Event::take() const
{
    const auto taken = evfd::take(fd_);
    if (!taken)
        return std::unexpected(failure(taken.error()));
    return mode_ == Mode::pulse ? static_cast<std::int64_t>(*taken) : (*taken > 0 ? 1 : 0);
}

Try<std::int64_t> Event::wait(std::optional<nanoseconds> timeout) const
{
    return wait_by(deadline_after(timeout));
}

Try<std::int64_t> Event::wait_until(MonotonicTime deadline) const
{
    return wait_by(deadline);
}

Try<std::int64_t> Event::wait_by(std::optional<MonotonicTime> deadline) const
{
    if (mode_ == Mode::manual || takes_through_daemon() || !access_.wait) {
        const Event* one[] = {this};
        const auto woken = Gathering{one}.wait_any(deadline);
        if (!woken)
            return std::unexpected(woken.error());
        return *woken ? (*woken)->count : 0;
    }
    while (true) { // What is taken stays until it is taken: poll(2) cannot miss it.
        const auto taken = take();
        if (!taken || *taken > 0)
            return taken;
        pollfd wanted{fd_.get(), POLLIN, 0};
        const auto span = to_timespec(deadline ? left_until(*deadline) : nanoseconds{0});
        const int ready = ::ppoll(&wanted, 1, deadline ? &span : nullptr, nullptr);
        if (ready == 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return std::unexpected(failure(Fault::last("ppoll(2)")));
    }
}

Try<std::optional<Woken>> wait_any(std::span<const Event* const> events,
                                   std::optional<nanoseconds> timeout)
{
    return Gathering{events}.wait_any(deadline_after(timeout));
}

Try<bool> wait_all(std::span<const Event* const> events, std::optional<nanoseconds> timeout)
{
    return Gathering{events}.wait_all(deadline_after(timeout));
}

bool latches_waits()
{
    return Poller::can_latch();
}

} // namespace evfd
