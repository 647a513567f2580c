// The bounds of the daemon: each has its name, its unit and its one home here. The limits of the
// wire are in common/limits.h, those of each user in daemon/access/quota.h. The daemon keeps all of
// them so that no client can delay the others.
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

// Objects that are deleted because their session or process ended.
inline constexpr std::ptrdiff_t max_objects_deleted_per_iteration = 256;

// Tokens.

// Tokens that are returned in one intent. An intent of this size fits into the space of one call.
inline constexpr std::size_t max_tokens_returned_per_intent = 2'048;
// The largest backlog of an event that a timer sets. Expirations beyond it are dropped.
inline constexpr std::int64_t max_backlog_tokens = 10'000'000;
// Operations in one io_submit(2).
inline constexpr std::size_t max_increments_per_submit = 128;

// Observation. The intervals bound how often a busy event or timer wakes the daemon.

// The shortest interval between two deliveries of edges that complete no wait. Without it, an event
// that is written without end would keep the daemon busy.
inline constexpr std::chrono::microseconds min_edge_interval{500};
// The shortest interval between two polls of a timer. Faster expirations are counted several at a
// time.
inline constexpr std::chrono::milliseconds min_poll_interval{1};

// What all users share. See SharedPool. The last part of a pool, 1 / pool_reserve_divisor, is for
// users who have less than 1 / pool_small_share_divisor of it.
inline constexpr std::int64_t pool_reserve_divisor = 8;
inline constexpr std::int64_t pool_small_share_divisor = 64;

// Descriptors. See DescriptorBudget.

// Descriptors that the daemon itself needs: 0 to 2, the state store, listening sockets, event
// loops, signals and clocks.
inline constexpr std::int64_t reserved_daemon_fds = 24;
// The least number of descriptors left for clients and their replies. A daemon that recovers keeps
// this many free while it reads the stash.
inline constexpr std::int64_t reserved_client_fds = 32;

// The state store.

// Bytes of records for one call and its consequences. Very large calls exceed it; their replies
// wait until everything is committed.
inline constexpr std::size_t usual_record_bytes_per_call = 192 * 1024;
// Memory is allocated in steps of this size, so a commit within one step cannot fail.
inline constexpr std::size_t journal_step_bytes = 256 * 1024;
// The journal may exceed twice the size of its live entries by this much before it is cleaned.
inline constexpr std::size_t max_journal_slack_bytes = 256 * 1024;
// Messages in the young generation of the stash. The smallest send buffer has room for 278
// messages. This bound leaves room for the descriptors that one call stores, and for a few more.
inline constexpr std::size_t max_young_messages = 128;

// The configuration.

inline constexpr std::size_t max_config_bytes = 1024 * 1024; // Of each file.
// Every request compares a name with each rule.
inline constexpr std::size_t max_policy_rules = 1'024;

// The supervisor.

inline constexpr std::size_t max_stored_fds = 64;
inline constexpr std::size_t max_notify_message_bytes = 4096;
// The longest delay before a daemon that keeps failing is restarted.
inline constexpr std::chrono::seconds max_restart_delay{1};

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

// A commit that failed, and what waits for it.
inline constexpr std::chrono::milliseconds commit_retry_interval{20};
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
