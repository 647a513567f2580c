// The harness of the attack tests.
//
// An attack runs as a hostile process of an unprivileged user. Meanwhile a well-behaved client of
// another user makes calls by name and checks every reply. check_withstands() runs the attack twice
// and compares the daemon before and after each run. What must hold:
//
// - Every call of the well-behaved client succeeds with the right reply. The latencies of the calls
//   are printed and not checked.
// - After the attack the daemon has as many objects, connections, waits, monitors, subscriptions
//   and descriptors as before the attack.
// - The second attack does not increase the daemon's memory, except for freed memory that the
//   allocator keeps.
#pragma once

#include "tests/support/daemon_process.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::e2e {

#ifdef EVFDD_SANITIZED
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

// Returns `rounds`, or a smaller number for a build with sanitizers, which is slower.
constexpr int scale_rounds(int rounds)
{
    return is_sanitized ? (rounds + 3) / 4 : rounds;
}

inline const uid_t other_uid = unprivileged_uid + 1;

// Starts a hostile process that runs `work` with the highest descriptor limit that root allows. The
// process exits after `work`, or is killed when the Worker is destroyed.
Worker start_attacker(const std::function<void(const WorkerSocket&)>& work);

// Returns a client that has already opened all of its connections, so that it opens none during an
// attack.
Client connected_client(const DaemonProcess& daemon);

// The number of each resource that the daemon has in use.
struct ResourceUsage {
    std::int64_t objects;
    std::int64_t connections;
    std::int64_t waits;
    std::int64_t monitors;
    std::int64_t subscriptions;
    std::int64_t descriptors;
    friend bool operator==(const ResourceUsage&, const ResourceUsage&) = default;
};
std::ostream& operator<<(std::ostream& out, const ResourceUsage& belongings);
ResourceUsage resource_usage(const Client& client);
// Returns the resident memory of the daemon in KiB.
std::int64_t resident_kib(const DaemonProcess& daemon);
// Returns the CPU time that the process has used so far.
nanoseconds process_cpu_time(pid_t process);

// The durations of calls.
class Latencies {
public:
    void add(nanoseconds one) { all_.push_back(one); }
    void add(const Latencies& others);
    std::size_t size() const { return all_.size(); }
    nanoseconds quantile(double part) const;
    nanoseconds worst() const { return quantile(1); }

private:
    mutable std::vector<nanoseconds> all_;
};

// A well-behaved client of another user, in a process of its own. After begin() the client works at
// a modest rate: it creates, sets, waits for, shows, opens, clears and deletes events by name. It
// checks each reply.
class WellBehavedClient {
public:
    explicit WellBehavedClient(const DaemonProcess& daemon);
    void begin();
    // Finishes the current round. Returns the durations of the calls since begin(). Throws if a
    // reply was wrong.
    Latencies pause();

private:
    Worker worker_;
};

// Runs `attack` twice while a well-behaved client makes calls. Checks that all replies to the
// client are right, and that the daemon uses as many resources after each run as before. Checks
// that the second run does not increase the daemon's memory. The first run can increase it, because
// the daemon keeps some memory for later. Prints the latencies with and without an attack. `attack`
// must not return before all processes that it started have ended.
void check_withstands(const DaemonProcess& daemon, std::string_view title,
                      const std::function<void()>& attack);

// Prints one line for the person who runs the tests.
void report(const std::string& line);

// Returns the Varlink text of a call of io.evfdd, with its terminating zero byte.
std::string call_text(std::string_view method, const Json& parameters, std::string_view flag = "");

} // namespace evfd::e2e
