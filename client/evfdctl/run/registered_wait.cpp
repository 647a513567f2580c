#include "client/evfdctl/run/registered_wait.h"

#include "client/core/connection_pool.h"
#include "client/evfdctl/output/failure.h"

#include <poll.h>

#include <cerrno>

namespace evfd {

Expected<RegisteredWait> RegisteredWait::begin(const Client& client,
                                               std::span<const std::string> names,
                                               const WaitOptions& options)
{
    auto request = Client::to_wait(names, options);
    if (!request)
        return std::unexpected(std::move(request.error()));
    const auto deadline = to_deadline(options.timeout);
    auto wait_request = WaitRequest::begin(*client.pool_, *std::move(request), deadline,
                                           WaitRequest::ReturnWhen::acknowledged);
    if (!wait_request)
        return std::unexpected(std::move(wait_request.error()));
    return RegisteredWait{client, *std::move(wait_request), deadline};
}

// Waits until the reply arrives or one of `others` is readable.
// If the wait has a deadline, Wakeup::timeout means that the reply is overdue: a running daemon
// replies at the deadline at the latest.
// If the wait has no deadline, Wakeup::timeout means that the keepalive interval has passed.
Expected<RegisteredWait::Wakeup> RegisteredWait::await_wakeup(std::span<const int> others) const
{
    if (request_.has_reply())
        return Wakeup::reply;
    std::vector<pollfd> polled{{request_.fd(), POLLIN, 0}};
    for (const int other : others)
        polled.push_back({other, POLLIN, 0});
    const auto limit =
        to_timespec(deadline_ ? time_until(add_saturating(*deadline_, client_.pool_->timeout()))
                              : default_keepalive_interval);
    const int ready = ::ppoll(polled.data(), polled.size(), &limit, nullptr);
    if (ready < 0 && errno != EINTR)
        return std::unexpected(system_call_error("ppoll(2)"));
    if (ready <= 0)
        return Wakeup::timeout;
    return polled.front().revents != 0 ? Wakeup::reply : Wakeup::other;
}

Expected<void> RegisteredWait::check_daemon_alive() const
{
    if (deadline_ &&
        time_until(add_saturating(*deadline_, client_.pool_->timeout())) == nanoseconds{0})
        return std::unexpected(
            Error{ErrorCode::no_daemon, no_reply_message(client_.pool_->address().path)});
    const auto alive = client_.status();
    return alive ? Expected<void>{} : std::unexpected(alive.error());
}

Expected<std::optional<RegisteredWait::Fired>> RegisteredWait::next(std::span<const int> others)
{
    while (true) {
        const auto wakeup = await_wakeup(others);
        if (!wakeup)
            return std::unexpected(wakeup.error());
        if (*wakeup == Wakeup::other)
            return std::nullopt;
        if (*wakeup == Wakeup::timeout) { // Checks that the daemon still answers.
            if (const auto alive = check_daemon_alive(); !alive)
                return std::unexpected(alive.error());
            continue;
        }
        auto fired = request_.finish();
        if (fired)
            return *std::move(fired);
        if (fired.error().code != ErrorCode::interrupted)
            return std::unexpected(std::move(fired.error()));
        if (const auto resubmitted = request_.resubmit(); !resubmitted)
            return std::unexpected(resubmitted.error());
    }
}

} // namespace evfd
