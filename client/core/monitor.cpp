#include "client/core/monitor.h"

#include "common/clock.h"

#include <utility>

namespace evfd {

Expected<Monitor> Monitor::begin(std::shared_ptr<ConnectionPool> pool,
                                 std::optional<Pattern> pattern, bool include_waiters)
{
    auto session = pool->acquire_connected();
    if (!session)
        return std::unexpected(std::move(session.error()));
    const auto sent =
        session->connection().send(protocol::Monitor{std::move(pattern), include_waiters},
                                   monotonic_deadline(pool->timeout()), ReplyMode::stream);
    if (!sent)
        return std::unexpected(sent.error());
    return Monitor{std::move(pool), *std::move(session)};
}

Expected<std::optional<protocol::Monitor::Reply>> Monitor::next()
{
    auto received = session_.connection().try_receive<protocol::Monitor>();
    if (!received)
        return std::unexpected(std::move(received.error()));
    if (!*received)
        return std::nullopt;
    return std::move((*received)->reply);
}

} // namespace evfd
