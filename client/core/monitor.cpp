#include "client/core/monitor.h"

#include "common/clock.h"

#include <utility>

namespace evfd {

Expected<Monitor> Monitor::begin(std::shared_ptr<ConnectionPool> pool,
                                 std::optional<Pattern> pattern, bool include_waiters)
{
    auto line = pool->acquire_connected();
    if (!line)
        return std::unexpected(std::move(line.error()));
    const auto asked =
        line->connection().send(protocol::Monitor{std::move(pattern), include_waiters},
                                monotonic_deadline(pool->timeout()), ReplyMode::stream);
    if (!asked)
        return std::unexpected(asked.error());
    return Monitor{std::move(pool), *std::move(line)};
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
