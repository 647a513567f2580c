// What the fuzzers of the daemon share: a world that costs little to make, since what holds no
// state is made once.
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
using DaemonInstance = ConnectedService; // One life of a daemon.

const EventfdIncrementer& shared_incrementer();
// Nothing is ever parked there, or noted, and its loop is never turned.
struct EmptyStateStore {
    EventLoop loop;
    StateStore state_store{loop};
};
EmptyStateStore& empty_state_store();

UniqueFd duplicate_fd(int fd);
std::pair<UniqueFd, UniqueFd> socket_pair(int type);
// Until nothing is left to do, but not for ever: a timer may ring again and again.
void run_until_idle(EventLoop& loop);

// What the daemon has to complain of: its log tells warnings to nobody else.
struct Warnings {
    static void start_counting();
    static inline int count = 0;
    static inline std::string last;
};

} // namespace evfd::daemon
