// What the two timer programs share: three named timers, and a socket on the loopback that takes
// "stop". They do what the two in Python's timer file descriptor HOWTO do, on timers that other
// processes can see, share and arm anew by name.
#pragma once

#include "evfd/client.h"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace howto {

constexpr std::chrono::seconds timeout{3}; // Of one turn of the loop.

[[noreturn]] void quit(std::string_view why);

// The value; or says what is wrong, and ends the program.
template <class T>
T value_or_exit(evfd::Expected<T> tried)
{
    if (!tried)
        quit(tried.error().message);
    return *std::move(tried);
}

// Timer 1 expires every 0.25 seconds, timer 2 every 0.5 seconds, timer 3 every 0.75 seconds. They
// go when this program goes.
std::vector<evfd::Timer> arm_timers(const evfd::Client& client);

// Takes one connection at a time, and commands from it.
class Server {
public:
    // On the port that the arguments name; 1234 without one; on any free one, which is printed,
    // with 0.
    Server(int argc, char** argv);

    bool is_active() const { return is_active_; }
    int listener() const { return listener_.get(); }
    int connection() const { return connection_.get(); } // -1 while there is none.
    // A connection request.
    void accept();
    // Something to read; the connection may be closed then.
    void read();

private:
    bool is_active_ = true;
    evfd::UniqueFd listener_;
    evfd::UniqueFd connection_;
};

// Reads the timer that has this descriptor; false if none has.
bool read_timer(const std::vector<evfd::Timer>& timers, int fd);

} // namespace howto
