#include "client/core/monitor.h"

#include "common/clock.h"

#include <utility>

namespace evfd {

Try<News> News::begin(std::shared_ptr<Daemon> daemon, std::optional<Pattern> pattern,
                      bool attendance)
{
    auto line = daemon->borrow();
    if (!line)
        return std::unexpected(std::move(line.error()));
    const auto asked = line->channel().send(protocol::Monitor{std::move(pattern), attendance},
                                            monotonic_after(daemon->patience()), Answers::many);
    if (!asked)
        return std::unexpected(asked.error());
    return News{std::move(daemon), *std::move(line)};
}

Try<std::optional<protocol::Monitor::Reply>> News::next()
{
    auto received = line_.channel().receive_if_there<protocol::Monitor>();
    if (!received)
        return std::unexpected(std::move(received.error()));
    if (!*received)
        return std::nullopt;
    return std::move((*received)->reply);
}

} // namespace evfd
