// What the attack tests have in common: a hostile user, a well-behaved client on the side who must
// not notice, and what the daemon has before an attack and after it.
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

// Of rounds, of which there are fewer where everything takes longer.
constexpr int scale_rounds(int rounds)
{
    return is_sanitized ? (rounds + 3) / 4 : rounds;
}

inline const uid_t other_uid = unprivileged_uid + 1;

// A hostile process, which may open as much as root lets it. It ends with its work, or is killed
// with this.
Worker start_attacker(const std::function<void(const WorkerSocket&)>& work);

// A client with all its connections made, so that it does not make one during an attack.
Client connected_client(const DaemonProcess& daemon);

// What the daemon has.
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
std::int64_t resident_kib(const DaemonProcess& daemon); // Resident, in KiB.
// CPU time it had up to now.
nanoseconds process_cpu_time(pid_t process);

// How long answers took.
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

// The well-behaved client, in a process of its own, of another user. While it is busy it creates,
// sets, waits, shows, opens, clears and deletes by name, at a modest pace, and knows what each
// answer has to be.
class WellBehavedClient {
public:
    explicit WellBehavedClient(const DaemonProcess& daemon);
    void begin();
    // To the end of what it is about; how long its answers took. Throws if one was wrong.
    Latencies pause();

private:
    Worker worker_;
};

// Does `attack` twice, the first time for whatever grows once, with a neighbour on the side. Checks
// that his answers all came and were right, and that the daemon has in the end what it had before,
// memory included. Prints how slow his answers were, against those before. `attack` does not return
// before what it began has ended.
void check_withstands(const DaemonProcess& daemon, std::string_view title,
                      const std::function<void()>& attack);

// One line for those who look on.
void report(const std::string& line);

// Varlink text of a call of io.evfdd, with its closing zero byte.
std::string call_text(std::string_view method, const Json& parameters, std::string_view flag = "");

} // namespace evfd::e2e
