#include "daemon/objects/edge_watch.h"

#include <utility>

namespace evfd::daemon {

namespace {

bool covers(EdgeMask reported, EdgeMask wanted)
{
    return wanted == EdgeMask::readable || reported == EdgeMask::any;
}

// Returns the epoll events for a mask. The watch is edge-triggered: every write by any process
// produces an edge, and the daemon need not read the eventfd.
//
// To observe all edges, the mask has EPOLLOUT in addition to EPOLLIN. Without EPOLLOUT, epoll would
// not report a write to an event that is cleared at once: epoll_wait(2) checks the eventfd again,
// and the eventfd is no longer readable. With EPOLLOUT, epoll reports the write, because the
// eventfd is writable. With EPOLLOUT, a read and the beginning of the watch also produce an edge.
std::uint32_t epoll_events(EdgeMask mask)
{
    return EPOLLET | EPOLLIN | (mask == EdgeMask::any ? EPOLLOUT : 0u);
}

} // namespace

bool EdgeWatch::reports(EdgeMask mask) const
{
    const auto* armed = std::get_if<Armed>(&state_);
    return armed && covers(armed->mask, mask);
}

Result<void> EdgeWatch::arm(EventLoop& epoll, const UniqueFd& eventfd, EdgeMask mask,
                            EventLoop::Callback callback)
{
    const bool was_idle = std::holds_alternative<Idle>(state_);
    if (was_idle) {
        auto watch = std::move(std::get<Idle>(state_).watch);
        state_ = Armed{std::move(watch), EdgeMask::readable, false};
    }
    if (auto* armed = std::get_if<Armed>(&state_)) {
        if (covers(armed->mask, mask))
            return {};
        // The change of the mask produces an edge that no write or read has caused. If an earlier
        // edge is still pending, epoll reports both edges as one. The next edge is therefore not
        // ignored.
        if (const auto changed = armed->watch.change(epoll_events(mask)); !changed) {
            if (was_idle)
                release();
            return changed;
        }
        armed->mask = mask;
        return {};
    }
    auto watch = epoll.watch(eventfd, epoll_events(mask), std::move(callback));
    if (!watch)
        return std::unexpected(watch.error());
    state_ = Armed{*std::move(watch), mask, mask == EdgeMask::any};
    return {};
}

void EdgeWatch::release()
{
    if (std::holds_alternative<Idle>(state_))
        return;
    if (auto* armed = std::get_if<Armed>(&state_); armed && armed->mask == EdgeMask::readable) {
        auto watch = std::move(armed->watch);
        state_ = Idle{std::move(watch)};
    } else {
        state_ = None{};
    }
}

bool EdgeWatch::on_edge()
{
    auto* armed = std::get_if<Armed>(&state_);
    if (!armed) {
        state_ = None{};
        return false;
    }
    return !std::exchange(armed->skips_first, false);
}

bool EdgeWatch::shows_full_counter(std::uint32_t events) const
{
    return reports(EdgeMask::any) && (events & EPOLLOUT) == 0;
}

} // namespace evfd::daemon
