// A token of a semaphore, or an auto event as a lock, taken for as long as this lives.
#pragma once

#include "client/evfd/error.h"
#include "common/unique_fd.h"

#include <memory>

namespace evfd {

class Daemon;

// It goes back however this process ends, and outlives a daemon that is killed: then a thread says
// that we are still there.
class Hold {
public:
    Hold(Hold&&) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold(); // Gives it back.

    // A descriptor for children, who inherit it over execve(2): while any process has it, the token
    // stays taken even if this process is killed; then no longer than the daemon lives.
    Try<UniqueFd> share() const;
    // Returns when it is back, whoever shares it. An error: it may have come to others before.
    // invalid, as with share(), once it was given back.
    Try<void> give_back();

private:
    friend class Client;
    explicit Hold(std::unique_ptr<Daemon> daemon);

    std::unique_ptr<Daemon> daemon_; // For this alone.
};

} // namespace evfd
