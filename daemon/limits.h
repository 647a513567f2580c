// The bounds of the event loop, of connections and of replies: each has its name, its unit and its
// one home here. The limits of the wire are in common/limits.h, those of each user in
// daemon/access/quota.h. The daemon keeps all of them so that no client can delay the others.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace evfd::daemon {

// Time. See common/time_slice.h.

// The longest time the event loop may be blocked on behalf of one user. Larger jobs are split into
// slices of this length.
inline constexpr std::chrono::microseconds time_slice{250};
// The longest time in one iteration for tasks that are due on one clock.
inline constexpr std::chrono::microseconds max_due_tasks_time{250};
// The longest time in one iteration for work that can wait: visiting objects after a monitor has
// ended, reporting numbers of waiters.
inline constexpr std::chrono::microseconds max_sweep_time{200};

// Time of users. See FairScheduler. The number of calls is a limit of each user.

// The longest time for one user's connections in one iteration.
inline constexpr std::chrono::milliseconds max_user_time{1};
// The same for all users together.
inline constexpr std::chrono::milliseconds max_total_time{2};
// The longest time for one user while others are queued.
inline constexpr std::chrono::microseconds max_contended_time{100};
// A debt is forgotten after this number of iterations.
inline constexpr std::uint64_t max_debt_iterations = 1'000;

// Numbers in one iteration.

inline constexpr std::size_t max_events_per_iteration = 256;
// A flood of new clients must not keep the connected ones from being served.
inline constexpr int max_accepts_per_iteration = 16;
// Children that FdCloser creates in one pass. fork(2) takes longer the more memory the daemon has.
inline constexpr int max_closers_per_pass = 2;

// Connections.

inline constexpr std::size_t max_bytes_per_read = 16 * 1024;
// Above this, the connection accepts no further call, and a reply in parts does not continue.
inline constexpr std::size_t output_high_water_bytes = 64 * 1024;
// Descriptors that may be sent before the peer is known to have read the earlier ones.
inline constexpr std::size_t max_unconfirmed_fds = 16;

// Replies. A part of a List or of Quotas stays well below max_reply_bytes.

inline constexpr std::size_t max_objects_per_reply = 64;
inline constexpr std::size_t max_users_per_reply = 64;
// Objects that a monitor visits in one step while it lists the present ones.
inline constexpr int max_objects_per_monitor_step = 64;
// Dirty names in one monitor. With more, the monitor starts again with `resync`.
inline constexpr std::size_t max_dirty_names = 1'024;
// A Clear that has taken so many slices, about one second, ends with its connection.
inline constexpr int max_guaranteed_clear_slices = 4'000;

// Intervals of repeated attempts. No event reports when they would succeed.

// Output that is blocked because other clients do not read theirs, or that cannot be committed.
inline constexpr std::chrono::milliseconds flush_retry_interval{20};
// Accepting clients when there is no descriptor to accept or reject one.
inline constexpr std::chrono::milliseconds accept_retry_interval{100};
// Reaping the children that close sockets, and creating others.
inline constexpr std::chrono::milliseconds closer_interval{10};
// Moving polled watches to the epoll set.
inline constexpr std::chrono::milliseconds epoll_retry_interval{100};
// ppoll(2) reports a ready descriptor again and again. A polled watch that is edge-triggered is
// therefore left out for this long after each event.
inline constexpr std::chrono::milliseconds edge_quiet_time{20};

// Memory. The heap is trimmed after this number of connections have ended, and not more often.

inline constexpr int min_closed_connections_per_trim = 64;
inline constexpr std::chrono::seconds min_trim_interval{1};

} // namespace evfd::daemon
