#include "client/evfdctl/run/trigger_source.h"

#include "client/core/connection_pool.h"
#include "client/evfdctl/output/failure.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>
#include <variant>

namespace evfd {

namespace {

using namespace std::chrono_literals;

bool is_any_readable(std::span<const int> descriptors)
{
    std::vector<pollfd> polled;
    for (const int fd : descriptors)
        polled.push_back({fd, POLLIN, 0});
    return ::poll(polled.data(), polled.size(), 0) > 0;
}

} // namespace

// Determines the mode of an event on another machine. Refuses a pulse or a timer: evfdctl needs a
// private descriptor to count pulses or expirations, and a descriptor cannot be received from
// another machine.
Expected<void> TriggerSource::identify_remote()
{
    const auto object = client_.show(name_.text());
    if (!object)
        return std::unexpected(object.error());
    if (!object->mode || *object->mode == Mode::pulse)
        return std::unexpected(Error{
            ErrorCode::refused,
            fmt::format("'{}' is {}, which is counted only on its own machine; run this on '{}'",
                        name_.text(), object->mode ? "a pulse" : "a timer",
                        client_.address().remote->host)});
    mode_ = object->mode;
    return {};
}

// Checks the permission to clear a manual event, because evfdctl clears the event before each run
// of the command. For an auto event or a semaphore, the daemon requires the permission itself. For
// a pulse, the permission is not needed.
Expected<void> TriggerSource::check_may_clear(const Event& event) const
{
    if (event.access().set || event.mode() != Mode::manual)
        return {};
    return std::unexpected(
        Error{ErrorCode::refused,
              fmt::format("you may not clear '{}', which every run requires; ask its owner for the "
                          "w permission, or the administrator if the policy denies it",
                          name_.text())});
}

// Determines the kind of the object by opening it. Keeps a pulse or a timer open, because its
// private descriptor counts the pulses or expirations from now on.
Expected<void> TriggerSource::identify()
{
    if (client_.address().remote)
        return identify_remote();
    auto found = client_.open_either(name_.text());
    if (!found)
        return std::unexpected(found.error());
    if (auto* const timer = std::get_if<Timer>(&*found)) {
        timer_.emplace(std::move(*timer));
        return {};
    }
    auto& event = std::get<Event>(*found);
    if (const auto permitted = check_may_clear(event); !permitted)
        return permitted;
    mode_ = event.mode();
    if (mode_ == Mode::pulse)
        pulse_.emplace(std::move(event));
    return {};
}

// Checks that the event still has the mode that evfdctl found first. While no wait is registered, a
// client can delete the event and create it again with another mode. If the new event were manual,
// evfdctl would not clear the event and would run the command again and again.
Expected<void> TriggerSource::check_mode() const
{
    const auto object = client_.show(name_.text());
    if (!object)
        return std::unexpected(object.error());
    if (object->mode == mode_)
        return {};
    return std::unexpected(
        Error{ErrorCode::deleted,
              fmt::format("'{}' was deleted, and another object has the name now", name_.text())});
}

// Registers a wait. For a pulse or a timer, the private descriptor reports the pulses or
// expirations. The wait is needed only to report that the object was deleted. Therefore the wait
// demands a count that is never reached.
Expected<void> TriggerSource::begin_wait()
{
    if (mode_ && !has_private_fd())
        if (const auto checked = check_mode(); !checked)
            return checked;
    protocol::WaitItem item{.name = name_, .existing = mode_ || timer_};
    if (has_private_fd())
        item.count = protocol::Count{std::numeric_limits<std::int64_t>::max()};
    protocol::Wait request{.items = {{std::move(item)}}};
    auto wait_request = WaitRequest::begin(*client_.pool_, std::move(request), {});
    if (!wait_request)
        return std::unexpected(wait_request.error());
    wait_.emplace(*std::move(wait_request));
    return {};
}

Expected<std::int64_t> TriggerSource::consume_private() const
{
    return pulse_ ? pulse_->wait(nanoseconds{0}) : timer_->wait(nanoseconds{0});
}

Expected<TriggerSource::Wakeup> TriggerSource::await_wakeup(std::span<const int> others) const
{
    const int private_fd = pulse_   ? pulse_->fd()
                           : timer_ ? timer_->fd()
                                    : -1; // poll(2) ignores the descriptor -1.
    std::vector<pollfd> polled{{private_fd, POLLIN, 0}, {wait_->fd(), POLLIN, 0}};
    for (const int other : others)
        polled.push_back({other, POLLIN, 0});
    const int ready =
        ::poll(polled.data(), polled.size(), static_cast<int>(default_keepalive_interval / 1ms));
    if (ready < 0 && errno != EINTR)
        return std::unexpected(system_call_error("poll(2)"));
    if (ready <= 0)
        return Wakeup::timeout;
    if (std::any_of(polled.begin() + 2, polled.end(), [](const auto& one) { return one.revents; }))
        return Wakeup::other;
    return polled[0].revents != 0 ? Wakeup::private_fd : Wakeup::reply;
}

// Consumes more tokens of a semaphore, up to a limit, until none is left or one of `others` is
// readable. Returns `consumed` plus the number of tokens that this function has consumed.
std::int64_t TriggerSource::consume_remaining(std::int64_t consumed,
                                              std::span<const int> others) const
{
    const WaitOptions options{.timeout = nanoseconds{0}, .existing = true};
    while (consumed < max_tokens_per_set && !is_any_readable(others)) {
        // On any error, returns the number of tokens that were consumed before the error.
        if (!client_.wait(texts(), options))
            break;
        ++consumed;
    }
    return consumed;
}

// Handles the reply to the wait. Returns the number of tokens, pulses or expirations in the reply.
// If the connection was lost, sends the call again and returns 0.
// If the object is a pulse or a timer that was opened before the wait, returns 0, because
// consume_private() reads the number from the private descriptor.
Expected<std::int64_t> TriggerSource::handle_reply(std::span<const int> others)
{
    auto fired = wait_->finish();
    if (!fired && fired.error().code == ErrorCode::interrupted) {
        const auto resubmitted = wait_->resubmit();
        return resubmitted ? Expected<std::int64_t>{0} : std::unexpected(resubmitted.error());
    }
    wait_.reset();
    if (!fired)
        return std::unexpected(fired.error());
    const bool existed = mode_ || timer_;
    if (!existed)
        if (const auto identified = identify(); !identified)
            return std::unexpected(identified.error());
    if (existed && has_private_fd())
        return 0;
    if (mode_ == Mode::manual)
        if (const auto cleared = client_.clear(texts()); !cleared)
            return std::unexpected(cleared.error());
    if (mode_ == Mode::semaphore && tokens_ == Tokens::all)
        return consume_remaining(fired->front().count, others);
    return fired->front().count;
}

Expected<void> TriggerSource::restore(std::int64_t count)
{
    if (!mode_ && !timer_) // The kind is unknown, because the wait began before the object existed.
        if (const auto identified = identify(); !identified)
            return identified;
    if (has_private_fd())
        return {};
    if (mode_ != Mode::semaphore)
        return client_.set(texts());
    while (count > 0) {
        const auto some = std::min(count, max_tokens_per_set);
        if (const auto set = client_.set(texts(), some); !set)
            return set;
        count -= some;
    }
    return {};
}

Expected<void> TriggerSource::finish()
{
    if (!wait_)
        return {};
    const auto fired = wait_->cancel();
    wait_.reset();
    const bool is_taken = fired && mode_ != Mode::manual;
    return is_taken ? restore(1) : Expected<void>{};
}

Expected<void> TriggerSource::identify_if_exists()
{
    if (mode_ || timer_)
        return {};
    auto identified = identify();
    if (!identified && identified.error().code == ErrorCode::no_such_name)
        return {};
    return identified;
}

Expected<std::optional<std::int64_t>> TriggerSource::next(std::span<const int> others)
{
    const auto deleted_error = [&](Error error) {
        if (error.code == ErrorCode::no_such_name)
            error = {ErrorCode::deleted, fmt::format("'{}' was deleted", name_.text())};
        return std::unexpected(std::move(error));
    };
    if (const auto identified = identify_if_exists(); !identified)
        return deleted_error(identified.error());
    while (true) {
        if (!wait_)
            if (const auto begun = begin_wait(); !begun)
                return deleted_error(begun.error());
        const auto wakeup = await_wakeup(others);
        if (!wakeup)
            return deleted_error(wakeup.error());
        Expected<std::int64_t> count = 0;
        switch (*wakeup) {
        case Wakeup::other: return std::nullopt;
        case Wakeup::private_fd: count = consume_private(); break;
        case Wakeup::reply: count = handle_reply(others); break;
        case Wakeup::timeout: // Checks that the daemon still answers.
            if (const auto alive = client_.status(); !alive)
                return deleted_error(alive.error());
            break;
        }
        if (!count)
            return deleted_error(count.error());
        if (*count > 0)
            return *count;
    }
}

} // namespace evfd
