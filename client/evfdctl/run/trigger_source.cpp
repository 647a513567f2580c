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
    std::vector<pollfd> wanted;
    for (const int fd : descriptors)
        wanted.push_back({fd, POLLIN, 0});
    return ::poll(wanted.data(), wanted.size(), 0) > 0;
}

} // namespace

// What counts for us alone does so in a descriptor, and none comes from another machine.
Expected<void> TriggerSource::identify_remote()
{
    const auto object = client_.show(name_.text());
    if (!object)
        return std::unexpected(object.error());
    if (!object->mode || *object->mode == Mode::pulse)
        return std::unexpected(
            Error{ErrorCode::refused,
                  fmt::format("'{}' is {}, which can be followed only on its own machine; run this "
                              "on '{}'",
                              name_.text(), object->mode ? "a pulse" : "a timer",
                              client_.address().remote->host)});
    mode_ = object->mode;
    return {};
}

// To take from another event needs that right anyway: the daemon says so.
Expected<void> TriggerSource::check_may_clear(const Event& event) const
{
    if (event.access().set || event.mode() != Mode::manual)
        return {};
    return std::unexpected(
        Error{ErrorCode::refused,
              fmt::format("'{}' is to be cleared each time, which you may not; ask its owner for "
                          "the w right, or the administrator if the policy is against it",
                          name_.text())});
}

// What it is: a pulse or a timer is opened, and followed from here on.
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
    if (const auto right = check_may_clear(event); !right)
        return right;
    mode_ = event.mode();
    if (mode_ == Mode::pulse)
        pulse_.emplace(std::move(event));
    return {};
}

// Made anew while nobody waited for it, it may be another thing: a run for each set of the one
// might never end with the other.
Expected<void> TriggerSource::check_mode() const
{
    const auto object = client_.show(name_.text());
    if (!object)
        return std::unexpected(object.error());
    if (object->mode == mode_)
        return {};
    return std::unexpected(
        Error{ErrorCode::deleted,
              fmt::format("'{}' was deleted, and another one has the name now", name_.text())});
}

// Of what is our own the descriptor tells; a wait that is never over tells that it is deleted.
Expected<void> TriggerSource::begin_wait()
{
    if (mode_ && !has_private_fd())
        if (const auto same = check_mode(); !same)
            return same;
    protocol::Wait request{.names = {{name_}}, .existing = mode_ || timer_};
    if (has_private_fd())
        request.count = protocol::Count{std::numeric_limits<std::int64_t>::max()};
    auto bell = WaitRequest::begin(*client_.pool_, std::move(request), {});
    if (!bell)
        return std::unexpected(bell.error());
    wait_.emplace(*std::move(bell));
    return {};
}

Expected<std::int64_t> TriggerSource::consume_private() const
{
    return pulse_ ? pulse_->wait(nanoseconds{0}) : timer_->wait(nanoseconds{0});
}

Expected<TriggerSource::Wakeup> TriggerSource::await_wakeup(std::span<const int> others) const
{
    const int own = pulse_ ? pulse_->fd() : timer_ ? timer_->fd() : -1; // -1 is passed over.
    std::vector<pollfd> wanted{{own, POLLIN, 0}, {wait_->fd(), POLLIN, 0}};
    for (const int other : others)
        wanted.push_back({other, POLLIN, 0});
    const int ready =
        ::poll(wanted.data(), wanted.size(), static_cast<int>(default_keepalive_interval / 1ms));
    if (ready < 0 && errno != EINTR)
        return std::unexpected(system_call_error("poll(2)"));
    if (ready <= 0)
        return Wakeup::timeout;
    if (std::any_of(wanted.begin() + 2, wanted.end(), [](const auto& one) { return one.revents; }))
        return Wakeup::other;
    return wanted[0].revents != 0 ? Wakeup::private_fd : Wakeup::reply;
}

// As long as there are some and nothing else is to be done, but not for ever.
std::int64_t TriggerSource::consume_remaining(std::int64_t taken, std::span<const int> others) const
{
    const WaitOptions look{.timeout = nanoseconds{0}, .existing = true};
    while (taken < max_tokens_per_set && !is_any_readable(others)) {
        if (!client_.wait(texts(), look)) // Whatever it is: those that we have count.
            break;
        ++taken;
    }
    return taken;
}

// What the daemon says; 0 if it went away, or if our own descriptor counts.
Expected<std::int64_t> TriggerSource::handle_reply(std::span<const int> others)
{
    auto fired = wait_->finish();
    if (!fired && fired.error().code == ErrorCode::interrupted) {
        const auto asked = wait_->resubmit();
        return asked ? Expected<std::int64_t>{0} : std::unexpected(asked.error());
    }
    wait_.reset();
    if (!fired)
        return std::unexpected(fired.error());
    const bool was_there = mode_ || timer_;
    if (!was_there)
        if (const auto learnt = identify(); !learnt)
            return std::unexpected(learnt.error());
    if (was_there && has_private_fd())
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
    if (!mode_ && !timer_) // It was taken as soon as it was there.
        if (const auto learnt = identify(); !learnt)
            return learnt;
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
    auto learnt = identify();
    if (!learnt && learnt.error().code == ErrorCode::no_such_name)
        return {};
    return learnt;
}

Expected<std::optional<std::int64_t>> TriggerSource::next(std::span<const int> others)
{
    const auto told = [&](Error error) {
        if (error.code == ErrorCode::no_such_name)
            error = {ErrorCode::deleted, fmt::format("'{}' was deleted", name_.text())};
        return std::unexpected(std::move(error));
    };
    if (const auto looked = identify_if_exists(); !looked)
        return told(looked.error());
    while (true) {
        if (!wait_)
            if (const auto begun = begin_wait(); !begun)
                return told(begun.error());
        const auto rung = await_wakeup(others);
        if (!rung)
            return told(rung.error());
        Expected<std::int64_t> count = 0;
        switch (*rung) {
        case Wakeup::other: return std::nullopt;
        case Wakeup::private_fd: count = consume_private(); break;
        case Wakeup::reply: count = handle_reply(others); break;
        case Wakeup::timeout: // A daemon that is stuck is found out.
            if (const auto alive = client_.status(); !alive)
                return told(alive.error());
            break;
        }
        if (!count)
            return told(count.error());
        if (*count > 0)
            return *count;
    }
}

} // namespace evfd
