#include "evfdctl/following.h"

#include "client/daemon.h"
#include "common/result.h"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

namespace evfd {

namespace {

using namespace std::chrono_literals;

} // namespace

// What it is: a pulse or a timer is opened, and followed from here on.
Try<void> Following::learn()
{
    auto event = client_.open(name_.text());
    if (event) {
        if (event->mode() == Mode::manual && !event->access().set)
            return std::unexpected(
                Error{ErrorCode::refused,
                      fmt::format("'{}' is to be cleared each time, which you may not; ask its "
                                  "owner for the w right, or the administrator if the policy is "
                                  "against it",
                                  name_.text())});
        mode_ = event->mode();
        if (mode_ == Mode::pulse)
            pulse_.emplace(*std::move(event));
        return {};
    }
    if (event.error().code != ErrorCode::name_taken)
        return std::unexpected(event.error());
    auto timer = client_.open_timer(name_.text());
    if (!timer)
        return std::unexpected(timer.error());
    timer_.emplace(*std::move(timer));
    return {};
}

// Of what is our own the descriptor tells; a wait that is never over tells that it is deleted.
Try<void> Following::begin()
{
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

Try<Following::Rung> Following::ring(const UniqueFd& stop) const
{
    const int own = pulse_ ? pulse_->fd() : timer_ ? timer_->fd() : -1; // -1 is passed over.
    std::array<pollfd, 3> wanted{
        {{stop.get(), POLLIN, 0}, {own, POLLIN, 0}, {bell_->fd(), POLLIN, 0}}};
    const int ready = ::poll(wanted.data(), wanted.size(), static_cast<int>(sign_of_life / 1ms));
    if (ready < 0 && errno != EINTR)
        return std::unexpected(Error{ErrorCode::system, Fault::last("poll(2)").message()});
    if (ready <= 0)
        return Rung::nothing;
    if (wanted[0].revents != 0)
        return Rung::stop;
    return wanted[1].revents != 0 ? Rung::own : Rung::bell;
}

// What the daemon says; 0 if it went away, or if our own descriptor counts.
Try<std::int64_t> Following::answer()
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
    return fired->front().count;
}

// What was taken for us at the last moment goes back.
Try<void> Following::call_off()
{
    const auto fired = bell_->call_off();
    bell_.reset();
    const bool is_shared = mode_ == Mode::automatic || mode_ == Mode::semaphore;
    return fired && is_shared ? client_.set(texts()) : Try<void>{};
}

Try<std::optional<std::int64_t>> Following::next(const UniqueFd& stop)
{
    const auto told = [&](Error error) {
        if (error.code == ErrorCode::no_such_name)
            error = {ErrorCode::deleted, fmt::format("'{}' was deleted", name_.text())};
        return std::unexpected(std::move(error));
    };
    if (!mode_ && !timer_)
        if (const auto learnt = learn(); !learnt && learnt.error().code != ErrorCode::no_such_name)
            return told(learnt.error());
    while (true) {
        if (!bell_)
            if (const auto begun = begin(); !begun)
                return told(begun.error());
        const auto rung = ring(stop);
        if (!rung)
            return told(rung.error());
        Try<std::int64_t> count = 0;
        switch (*rung) {
        case Rung::stop: {
            const auto ended = call_off();
            return ended ? Try<std::optional<std::int64_t>>{std::nullopt} : told(ended.error());
        }
        case Rung::own: count = take_own(); break;
        case Rung::bell: count = answer(); break;
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
