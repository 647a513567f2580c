// Shared by the fuzzers of the daemon. Objects without state are created once, because a run must
// be cheap.
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
using DaemonInstance = ConnectedService; // One life of a daemon, between two kills.

const EventfdIncrementer& shared_incrementer();
// Nothing is ever stored in it, and its loop never runs.
struct EmptyStateStore {
    EventLoop loop;
    StateStore state_store{loop};
};
EmptyStateStore& empty_state_store();

UniqueFd duplicate_fd(int fd);
std::pair<UniqueFd, UniqueFd> socket_pair(int type);
// Runs the loop until it has nothing to do, with a limit, because a timer may expire again and
// again.
void run_until_idle(EventLoop& loop);

// Counts the warnings in the daemon's log. The daemon reports recovery errors only there.
struct Warnings {
    static void start_counting();
    static inline int count = 0;
    static inline std::string last;
};

} // namespace evfd::daemon
