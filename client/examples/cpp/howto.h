// Common parts of the two timer programs: three named timers, and a socket on the loopback that
// takes "stop". They do the same as the examples of Python's timer file descriptor HOWTO, with
// timers that other processes can see, share and arm again by name.
#pragma once

#include "evfd/client.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace howto {

constexpr std::chrono::seconds timeout{3}; // Longest time of one iteration of the loop.

[[noreturn]] void quit(std::string_view why);

// Returns the value, or prints the error and ends the program.
template <class T>
T value_or_exit(evfd::Expected<T> result)
{
    if (!result)
        quit(result.error().message);
    return *std::move(result);
}

// Arms timer 1 with an interval of 0.25 s, timer 2 with 0.5 s and timer 3 with 0.75 s. The timers
// are deleted when the program exits.
std::vector<evfd::Timer> arm_timers(const evfd::Client& client);

// Accepts one connection at a time, and reads commands from it.
class Server {
public:
    // Listens on port argv[1], or 1234 without an argument. For 0 it chooses a free port and prints
    // it.
    Server(int argc, char** argv);

    bool is_active() const { return is_active_; }
    int listener() const { return listener_.get(); }
    int connection() const { return connection_.get(); } // -1 if there is no connection.
    // Accepts a connection request.
    void accept();
    // Reads a command. May close the connection.
    void read();

private:
    bool is_active_ = true;
    evfd::UniqueFd listener_;
    evfd::UniqueFd connection_;
};

// Reads the timer with this descriptor. Returns false if there is none.
bool read_timer(const std::vector<evfd::Timer>& timers, int fd);

} // namespace howto
