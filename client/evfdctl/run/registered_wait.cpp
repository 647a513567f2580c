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
    auto pending = WaitRequest::begin(*client.pool_, *std::move(request), deadline,
                                      WaitRequest::ReturnWhen::acknowledged);
    if (!pending)
        return std::unexpected(std::move(pending.error()));
    return RegisteredWait{client, *std::move(pending), deadline};
}

// The daemon answers when the time is over.
Expected<RegisteredWait::Wakeup> RegisteredWait::await_wakeup(std::span<const int> others) const
{
    if (request_.has_reply())
        return Wakeup::reply;
    std::vector<pollfd> wanted{{request_.fd(), POLLIN, 0}};
    for (const int other : others)
        wanted.push_back({other, POLLIN, 0});
    const auto left =
        to_timespec(deadline_ ? time_until(add_saturating(*deadline_, client_.pool_->timeout()))
                              : default_keepalive_interval);
    const int ready = ::ppoll(wanted.data(), wanted.size(), &left, nullptr);
    if (ready < 0 && errno != EINTR)
        return std::unexpected(system_call_error("ppoll(2)"));
    if (ready <= 0)
        return Wakeup::timeout;
    return wanted.front().revents != 0 ? Wakeup::reply : Wakeup::other;
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
        const auto rung = await_wakeup(others);
        if (!rung)
            return std::unexpected(rung.error());
        if (*rung == Wakeup::other)
            return std::nullopt;
        if (*rung == Wakeup::timeout) { // One that is stuck is found out.
            if (const auto alive = check_daemon_alive(); !alive)
                return std::unexpected(alive.error());
            continue;
        }
        auto fired = request_.finish();
        if (fired)
            return *std::move(fired);
        if (fired.error().code != ErrorCode::interrupted)
            return std::unexpected(std::move(fired.error()));
        if (const auto asked = request_.resubmit(); !asked)
            return std::unexpected(asked.error());
    }
}

} // namespace evfd
