// The harness of the attack tests.
//
// An attack runs as a hostile process of an unprivileged user. Meanwhile a well-behaved client of
// another user makes calls by name and checks every reply. check_withstands() runs the attack twice
// and compares the daemon before and after it. What must hold:
//
// - Every call of the well-behaved client succeeds with the right reply. The latencies of the calls
//   are printed and not checked.
// - After the attack the daemon has the objects, connections, waits, monitors, subscriptions and
//   descriptors that it had before.
// - The second attack does not increase the daemon's memory, except for the slack of the allocator.
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

// Returns a smaller number of rounds for builds with sanitizers, which are slower.
constexpr int scale_rounds(int rounds)
{
    return is_sanitized ? (rounds + 3) / 4 : rounds;
}

inline const uid_t other_uid = unprivileged_uid + 1;

// Starts a hostile process with the highest descriptor limit that root allows. The process exits
// after its work, or is killed when the Worker is destroyed.
Worker start_attacker(const std::function<void(const WorkerSocket&)>& work);

// Returns a client that has made all of its connections, so that it connects no more during an
// attack.
Client connected_client(const DaemonProcess& daemon);

// The resources that the daemon has in use.
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

// A well-behaved client of another user, in a process of its own. After begin() it creates, sets,
// waits, shows, opens, clears and deletes by name, at a modest rate, and checks each reply.
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

// Runs `attack` twice while a well-behaved client makes calls. During the first run the daemon
// allocates memory that it then keeps. Checks that all replies to the client were right, that the
// daemon uses the same resources after each run as before the attack, and that the second run has
// not increased its memory. Prints how the latencies compare with those without an attack. `attack`
// must not return before all processes that it started have ended.
void check_withstands(const DaemonProcess& daemon, std::string_view title,
                      const std::function<void()>& attack);

// Prints one line for a human reader.
void report(const std::string& line);

// Returns the Varlink text of a call of io.evfdd, with its terminating zero byte.
std::string call_text(std::string_view method, const Json& parameters, std::string_view flag = "");

} // namespace evfd::e2e
