#include "client/evfdctl/run/registered_wait.h"

#include "client/core/connection_pool.h"
#include "client/evfdctl/output/failure.h"

#include <poll.h>

#include <cerrno>

namespace evfd {

Try<ArmedWait> ArmedWait::begin(const Client& client, std::span<const std::string> names,
                                const WaitOptions& options)
{
    auto request = Client::to_wait(names, options);
    if (!request)
        return std::unexpected(std::move(request.error()));
    const auto deadline = deadline_after(options.timeout);
    auto pending = PendingWait::begin(*client.daemon_, *std::move(request), deadline,
                                      PendingWait::Begun::certainly);
    if (!pending)
        return std::unexpected(std::move(pending.error()));
    return ArmedWait{client, *std::move(pending), deadline};
}

// The daemon answers when the time is over.
Try<ArmedWait::Rung> ArmedWait::ring(std::span<const int> others) const
{
    if (pending_.has_answer())
        return Rung::answer;
    std::vector<pollfd> wanted{{pending_.fd(), POLLIN, 0}};
    for (const int other : others)
        wanted.push_back({other, POLLIN, 0});
    const auto left = to_timespec(
        deadline_ ? left_until(later(*deadline_, client_.daemon_->patience())) : sign_of_life);
    const int ready = ::ppoll(wanted.data(), wanted.size(), &left, nullptr);
    if (ready < 0 && errno != EINTR)
        return std::unexpected(failed("ppoll(2)"));
    if (ready <= 0)
        return Rung::nothing;
    return wanted.front().revents != 0 ? Rung::answer : Rung::other;
}

Try<void> ArmedWait::ask_for_sign_of_life() const
{
    if (deadline_ && left_until(later(*deadline_, client_.daemon_->patience())) == nanoseconds{0})
        return std::unexpected(
            Error{ErrorCode::no_daemon, silence_of(client_.daemon_->address().path)});
    const auto alive = client_.status();
    return alive ? Try<void>{} : std::unexpected(alive.error());
}

Try<std::optional<ArmedWait::Fired>> ArmedWait::next(std::span<const int> others)
{
    while (true) {
        const auto rung = ring(others);
        if (!rung)
            return std::unexpected(rung.error());
        if (*rung == Rung::other)
            return std::nullopt;
        if (*rung == Rung::nothing) { // One that is stuck is found out.
            if (const auto alive = ask_for_sign_of_life(); !alive)
                return std::unexpected(alive.error());
            continue;
        }
        auto fired = pending_.finish();
        if (fired)
            return *std::move(fired);
        if (fired.error().code != ErrorCode::interrupted)
            return std::unexpected(std::move(fired.error()));
        if (const auto asked = pending_.ask_again(); !asked)
            return std::unexpected(asked.error());
    }
}

} // namespace evfd
