// Common parts of the two timer programs: three named timers, and a server on the loopback
// interface that understands the command "stop". The programs do the same as the examples of
// Python's timer file descriptor HOWTO, but other processes can see, share and arm the timers by
// name.
#pragma once

#include "evfd/client.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace howto {

constexpr std::chrono::seconds timeout{3}; // The longest time that one iteration of the loop waits.

[[noreturn]] void quit(std::string_view why);

// Returns the value of `result`. If `result` is an error, prints the error and ends the program.
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
    // Listens on port argv[1], or 1234 without an argument. If the port is 0, listens on any free
    // port and prints its number.
    Server(int argc, char** argv);

    bool is_active() const { return is_active_; }
    int listener() const { return listener_.get(); }
    int connection() const { return connection_.get(); } // Returns -1 without a connection.
    // Accepts a connection and closes the previous connection.
    void accept();
    // Reads a command from the connection, or closes the connection if the peer has closed it.
    void read();

private:
    bool is_active_ = true;
    evfd::UniqueFd listener_;
    evfd::UniqueFd connection_;
};

// Reads from the timer with the descriptor `fd`. Returns false if no timer has that descriptor.
bool read_timer(const std::vector<evfd::Timer>& timers, int fd);

} // namespace howto
