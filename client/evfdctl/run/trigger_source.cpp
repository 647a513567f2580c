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
Try<void> Following::learn_from_afar()
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
Try<void> Following::check_right_to_clear(const Event& event) const
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
Try<void> Following::learn()
{
    if (client_.address().remote)
        return learn_from_afar();
    auto found = client_.open_either(name_.text());
    if (!found)
        return std::unexpected(found.error());
    if (auto* const timer = std::get_if<Timer>(&*found)) {
        timer_.emplace(std::move(*timer));
        return {};
    }
    auto& event = std::get<Event>(*found);
    if (const auto right = check_right_to_clear(event); !right)
        return right;
    mode_ = event.mode();
    if (mode_ == Mode::pulse)
        pulse_.emplace(std::move(event));
    return {};
}

// Made anew while nobody waited for it, it may be another thing: a run for each set of the one
// might never end with the other.
Try<void> Following::check_mode() const
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
Try<void> Following::begin()
{
    if (mode_ && !has_own())
        if (const auto same = check_mode(); !same)
            return same;
    protocol::Wait request{.names = {{name_}}, .existing = mode_ || timer_};
    if (has_own())
        request.count = protocol::Count{std::numeric_limits<std::int64_t>::max()};
    auto bell = PendingWait::begin(*client_.daemon_, std::move(request), {});
    if (!bell)
        return std::unexpected(bell.error());
    bell_.emplace(*std::move(bell));
    return {};
}

Try<std::int64_t> Following::take_own() const
{
    return pulse_ ? pulse_->wait(nanoseconds{0}) : timer_->wait(nanoseconds{0});
}

Try<Following::Rung> Following::ring(std::span<const int> others) const
{
    const int own = pulse_ ? pulse_->fd() : timer_ ? timer_->fd() : -1; // -1 is passed over.
    std::vector<pollfd> wanted{{own, POLLIN, 0}, {bell_->fd(), POLLIN, 0}};
    for (const int other : others)
        wanted.push_back({other, POLLIN, 0});
    const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(sign_of_life / 1ms));
    if (ready < 0 && errno != EINTR)
        return std::unexpected(failed("poll(2)"));
    if (ready <= 0)
        return Rung::nothing;
    if (std::any_of(wanted.begin() + 2, wanted.end(), [](const auto& one) { return one.revents; }))
        return Rung::other;
    return wanted[0].revents != 0 ? Rung::own : Rung::bell;
}

// As long as there are some and nothing else is to be done, but not for ever.
std::int64_t Following::take_rest(std::int64_t taken, std::span<const int> others) const
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
Try<std::int64_t> Following::answer(std::span<const int> others)
{
    auto fired = bell_->finish();
    if (!fired && fired.error().code == ErrorCode::interrupted) {
        const auto asked = bell_->ask_again();
        return asked ? Try<std::int64_t>{0} : std::unexpected(asked.error());
    }
    bell_.reset();
    if (!fired)
        return std::unexpected(fired.error());
    const bool was_there = mode_ || timer_;
    if (!was_there)
        if (const auto learnt = learn(); !learnt)
            return std::unexpected(learnt.error());
    if (was_there && has_own())
        return 0;
    if (mode_ == Mode::manual)
        if (const auto cleared = client_.clear(texts()); !cleared)
            return std::unexpected(cleared.error());
    if (mode_ == Mode::semaphore && tokens_ == Tokens::all)
        return take_rest(fired->front().count, others);
    return fired->front().count;
}

Try<void> Following::put_back(std::int64_t count)
{
    if (!mode_ && !timer_) // It was taken as soon as it was there.
        if (const auto learnt = learn(); !learnt)
            return learnt;
    if (has_own())
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

Try<void> Following::end()
{
    if (!bell_)
        return {};
    const auto fired = bell_->call_off();
    bell_.reset();
    const bool is_taken = fired && mode_ != Mode::manual;
    return is_taken ? put_back(1) : Try<void>{};
}

Try<void> Following::look()
{
    if (mode_ || timer_)
        return {};
    auto learnt = learn();
    if (!learnt && learnt.error().code == ErrorCode::no_such_name)
        return {};
    return learnt;
}

Try<std::optional<std::int64_t>> Following::next(std::span<const int> others)
{
    const auto told = [&](Error error) {
        if (error.code == ErrorCode::no_such_name)
            error = {ErrorCode::deleted, fmt::format("'{}' was deleted", name_.text())};
        return std::unexpected(std::move(error));
    };
    if (const auto looked = look(); !looked)
        return told(looked.error());
    while (true) {
        if (!bell_)
            if (const auto begun = begin(); !begun)
                return told(begun.error());
        const auto rung = ring(others);
        if (!rung)
            return told(rung.error());
        Try<std::int64_t> count = 0;
        switch (*rung) {
        case Rung::other: return std::nullopt;
        case Rung::own: count = take_own(); break;
        case Rung::bell: count = answer(others); break;
        case Rung::nothing: // A daemon that is stuck is found out.
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
