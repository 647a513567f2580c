// EdgeWatch: how the daemon learns that the eventfd of an event was written or read.
//
// state   | edges come from | what happens
// --------|-----------------|------------------------------------------------------------------
// none    |                 | nobody observes the event, or its counter is a number
// armed   | epoll           | edges of the mask are reported
// idle    | epoll           | nobody observes the event any more; the next edge removes the watch
//
// The idle state saves system calls: in most cases, another wait for the event begins before the
// event is set again. A watch for all edges never becomes idle, because even a read of the event
// would wake the daemon.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"

#include <cstdint>
#include <variant>

namespace evfd::daemon {

// Which edges of a watched event are reported: only "became readable", or every write and read.
enum class EdgeMask : std::uint8_t { readable, any };

class EdgeWatch {
public:
    // Returns whether the watch reports at least the edges that `mask` stands for.
    bool reports(EdgeMask mask) const;
    // Returns whether the eventfd is in the epoll set, even if nobody uses the watch at present.
    bool is_in_epoll() const { return !std::holds_alternative<None>(state_); }

    // Adds the eventfd to the epoll set. From now on, `callback` is called at least for the edges
    // of the mask. On failure the watch is unchanged. Fails with ENOMEM or ENOSPC as epoll_ctl(2)
    // does.
    Result<void> arm(EventLoop& epoll, const UniqueFd& eventfd, EdgeMask mask,
                     EventLoop::Callback callback);
    void release();
    // Updates the state for an edge that epoll has reported. Returns whether the edge stands for a
    // write or read that must be reported.
    bool on_edge();
    // Returns whether the epoll events of an edge show that the counter of the eventfd is full.
    bool shows_full_counter(std::uint32_t events) const;

private:
    struct None {};
    struct Armed {
        EventLoop::Watch watch;
        EdgeMask mask;
        // True if the next edge must be ignored. A watch for all edges begins with an edge that no
        // write or read has caused.
        bool skips_first;
    };
    struct Idle {
        EventLoop::Watch watch; // The mask of an idle watch is always `readable`.
    };
    std::variant<None, Armed, Idle> state_;
};

} // namespace evfd::daemon
