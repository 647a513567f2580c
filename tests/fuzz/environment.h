// Helpers that the fuzzers of the daemon share. Objects without state are created only once,
// because a run must be fast.
#pragma once

#include "common/unique_fd.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/store/state_store.h"
#include "tests/fuzz/input.h"
#include "tests/support/connected_service.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>

namespace evfd::daemon {

using fuzz::expect;
using DaemonInstance = ConnectedService; // A daemon, from its start to its kill.

const EventfdIncrementer& shared_incrementer();
// An empty state store, and the event loop that the state store needs. The loop never runs.
struct EmptyStateStore {
    EventLoop loop;
    StateStore state_store{loop};
};
EmptyStateStore& empty_state_store();

UniqueFd duplicate_fd(int fd);
std::pair<UniqueFd, UniqueFd> socket_pair(int type);
// Runs the loop until the loop has nothing to do. The number of iterations is limited, because a
// timer can expire again and again.
void run_until_idle(EventLoop& loop);

// Counts the warnings in the daemon's log. The daemon reports errors of a recovery only in the log.
struct Warnings {
    static void start_counting();
    static inline int count = 0;
    static inline std::string last;
};

} // namespace evfd::daemon
