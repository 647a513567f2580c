// Calls by name, compared with the calls of other servers.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

// Compares an Open with the retrieval of a descriptor from s6-fdholder-daemon.
Comparison fdholder(const DaemonSettings& settings, int pairs);
// Compares a Set and the end of a Wait with LPUSH and BLPOP of redis.
Comparison blpop(const DaemonSettings& settings, int pairs);
// Compares a Set and the end of a Wait with a D-Bus signal to one subscriber. The second comparison
// is of a oneway Set.
std::vector<Comparison> dbus_daemon(const DaemonSettings& settings, int pairs);
std::vector<Comparison> dbus_broker(const DaemonSettings& settings, int pairs);
// Compares a Set and a Show with SET and GET of redis.
Comparison set_and_get(const DaemonSettings& settings, int pairs);

} // namespace evfd::bench
