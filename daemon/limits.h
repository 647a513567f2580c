// The limits of the daemon, each with its name, its unit and its value. The limits of the protocol
// are in common/limits.h. The limits of each user are in daemon/access/quota.h. The daemon enforces
// all limits, so that no client can delay the other clients.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace evfd::daemon {

// Limits on the time of one task. See common/time_slice.h.

// The longest time for which the work for one user blocks the event loop. Larger jobs are split
// into slices of this length. For example, a List or a monitor that visits many names without a
// match interrupts its visit after this time.
inline constexpr std::chrono::microseconds time_slice{250};
// The maximum time for which one iteration of the event loop runs the tasks of expired deadlines.
// The limit applies to each clock separately. See DeadlineQueue.
inline constexpr std::chrono::microseconds max_due_tasks_time{250};
// The maximum time that one iteration spends on each kind of work that can wait. There are two
// kinds: visiting the objects of a monitor after it has ended, and reporting numbers of waiters.
inline constexpr std::chrono::microseconds max_sweep_time{200};

// Limits on the time of users. See FairScheduler. The number of calls is limited by a quota of each
// user.

// The maximum time that one iteration spends on the connections of one user.
inline constexpr std::chrono::milliseconds max_user_time{1};
// The maximum time that one iteration spends on the connections of all users together.
inline constexpr std::chrono::milliseconds max_total_time{2};
// The maximum time that one iteration spends on the connections of one user while other users are
// queued.
inline constexpr std::chrono::microseconds max_contended_time{100};
// A user whose calls took too long has a debt of time. The debt is forgotten after this number of
// iterations without work for the user.
inline constexpr std::uint64_t max_debt_iterations = 1'000;

// Limits on numbers in one iteration of the event loop.

// The number of ready descriptors that one iteration handles. It keeps iterations short: if 64
// connections end in one iteration, the iteration takes about 2 ms.
inline constexpr std::size_t max_events_per_iteration = 64;
// The number of clients accepted from one listening socket in one iteration. It is limited, so that
// a flood of new clients cannot keep the connected clients from being served.
inline constexpr int max_accepts_per_iteration = 16;
// The number of children that FdCloser creates in one pass. It is small, because fork(2) takes
// longer the more memory the daemon has.
inline constexpr int max_closers_per_pass = 2;

// The number of objects deleted in one iteration because their session or process has ended.
inline constexpr std::ptrdiff_t max_objects_deleted_per_iteration = 256;
// The number of sessions that end in one iteration because no client has resumed them in time.
inline constexpr int max_orphans_ended_per_iteration = 64;

// Limits on tokens.

// The number of consumed tokens that the daemon returns to their events with one intent. An intent
// is a record in the journal. An intent of this size fits into the space that is reserved for the
// records of one call.
inline constexpr std::size_t max_tokens_returned_per_intent = 2'048;
// The largest backlog of an event that a timer sets. Expirations beyond this limit are dropped.
inline constexpr std::int64_t max_backlog_tokens = 10'000'000;
// The number of operations in one io_submit(2).
inline constexpr std::size_t max_increments_per_submit = 128;

// The shortest intervals at which the daemon looks at an event or a timer. They limit how often a
// busy event or timer wakes the daemon.

// If edges occur more often than this, and a delivery of edges completes no wait, the daemon pauses
// for at least this time before the next delivery. Without the pause, a client that writes to an
// event in an endless loop would keep the daemon busy.
inline constexpr std::chrono::microseconds min_edge_interval{500};
// The shortest interval between two polls of a timer. One poll of a faster timer counts several
// expirations.
inline constexpr std::chrono::milliseconds min_poll_interval{1};

// The highest number of objects of all users together. This limit bounds the memory for objects. An
// object that nobody has opened has no descriptor, so the limit of descriptors does not bound it.
// See Charges::charge_object().
inline constexpr std::int64_t max_objects = 2'000'000;

// A pool that all users share has a reserve (SharedPool). The size of the reserve is the size of
// the pool divided by pool_reserve_divisor. The reserve is for users who have less than the size of
// the pool divided by pool_small_share_divisor.
inline constexpr std::int64_t pool_reserve_divisor = 8;
inline constexpr std::int64_t pool_small_share_divisor = 64;

// Numbers of descriptors. See DescriptorBudget.

// The number of descriptors that the daemon itself needs: descriptors 0 to 2, the state store,
// listening sockets, event loops, signals and clocks.
inline constexpr std::int64_t reserved_daemon_fds = 24;
// The minimum number of descriptors that are left for clients and their replies. A daemon that
// recovers keeps this number of descriptors free while it reads the fd stash.
inline constexpr std::int64_t reserved_client_fds = 32;

// Limits of the state store.

// The number of bytes that are reserved in the journal before a call, for the records of the call
// and its consequences. If a very large call needs more bytes, its commit can fail. Its reply then
// waits until a later commit succeeds.
inline constexpr std::size_t usual_record_bytes_per_call = 192 * 1024;
// The journal's memory is allocated in steps of this size. A commit that needs no further step
// cannot fail.
inline constexpr std::size_t journal_step_bytes = 256 * 1024;
// The journal is cleaned when it is larger than the sum of this number of bytes and twice the size
// of its live records.
inline constexpr std::size_t max_journal_slack_bytes = 256 * 1024;
// FdStash::compact() shrinks the young generation of the fd stash to fewer messages than this. The
// smallest send buffer of a socket has room for 278 messages. If a call is about to store more
// descriptors than there is room for, StateStore::reserve_fd_slots() makes room first.
inline constexpr std::size_t max_young_messages = 128;

// Limits of the configuration.

// The largest size of one configuration file.
inline constexpr std::size_t max_config_bytes = 1024 * 1024;
// The number of rules is limited, because every request compares a name with each rule.
inline constexpr std::size_t max_policy_rules = 1'024;

// Limits of the supervisor.

inline constexpr std::size_t max_stored_fds = 64;
inline constexpr std::size_t max_notify_message_bytes = 4096;
// The longest delay before a daemon that keeps failing is restarted.
inline constexpr std::chrono::seconds max_restart_delay{1};

// Limits of a connection.

inline constexpr std::size_t max_bytes_per_read = 16 * 1024;
// While a connection has more bytes of unsent output than this, it accepts no further call, and a
// call with several replies pauses between two replies.
inline constexpr std::size_t output_high_water_bytes = 64 * 1024;
// The daemon sends at most this number of descriptors to a peer without knowing whether the peer
// has read any of them. There is one exception: after the peer has read all descriptors, the
// daemon can send one batch that has more.
inline constexpr std::size_t max_unconfirmed_fds = 16;

// The number of objects that a List, or a monitor that lists the existing objects, visits before it
// checks whether its time slice is over.
inline constexpr std::size_t min_objects_per_step = 64;

// Limits of replies. They keep each reply to List or Quotas well below max_reply_bytes.

inline constexpr std::size_t max_objects_per_reply = 64;
inline constexpr std::size_t max_users_per_reply = 64;
// The number of names with unreported changes in one monitor. With more names, the monitor reports
// `resync` and starts again.
inline constexpr std::size_t max_dirty_names = 1'024;
// The number of objects that are checked for all monitors in one step after the policy has changed.
// If the daemon has more objects, each monitor reports `resync` and starts again.
inline constexpr std::size_t max_objects_checked_for_policy = 1'024;
// A Clear that has used this number of time slices, about one second, ends when its connection
// ends. A shorter Clear is finished even without its connection.
inline constexpr int max_guaranteed_clear_slices = 4'000;

// How long the daemon waits before it tries something again. It has to try, because the kernel does
// not report when an attempt would succeed.

// After a failed commit, the daemon waits for this time. Then it tries the commit again, and the
// work that depends on the commit.
inline constexpr std::chrono::milliseconds commit_retry_interval{20};
// How long the daemon waits before it tries to send blocked output again. Output is blocked while
// other clients do not read their descriptors, or while changes cannot be committed.
inline constexpr std::chrono::milliseconds flush_retry_interval{20};
// How long the daemon stops accepting clients when no descriptor is free to accept or reject one.
inline constexpr std::chrono::milliseconds accept_retry_interval{100};
// How often FdCloser reaps the children that close sockets, and creates other children.
inline constexpr std::chrono::milliseconds closer_interval{10};
// How often the event loop tries to move the watches that it polls with ppoll(2) to the epoll set.
inline constexpr std::chrono::milliseconds epoll_retry_interval{100};
// ppoll(2) reports a ready descriptor again and again. Each time that ppoll(2) has reported the
// descriptor of an edge-triggered watch, the event loop does not poll this watch for this time.
inline constexpr std::chrono::milliseconds edge_quiet_time{20};

// Limits on how often the heap is trimmed. It is trimmed min_trim_interval after
// min_closed_connections_per_trim connections have ended, but only if it is small: a trim visits
// each free block. A heap of 20 MiB takes at most 4 ms, and the heap of a million objects up to
// 55 ms.

inline constexpr int min_closed_connections_per_trim = 64;
inline constexpr std::chrono::seconds min_trim_interval{1};
inline constexpr int max_trimmed_heap_bytes = 20 * 1024 * 1024;

} // namespace evfd::daemon
