// A token of a semaphore, or an auto event as a lock, taken for as long as this lives.
#pragma once

#include "common/enums.h"
#include "evfd/error.h"

#include <memory>
#include <string>

namespace evfd {

class ConnectionPool;

// It outlives a daemon that is killed. Held by this process, it goes back when that has ended,
// however it ends, whatever becomes of the connection: execve(2) changes nothing, and children do
// not inherit it. Held by a session, it goes back with this process as well; but a process that is
// stopped while the daemon is restarted loses it.
class Hold {
public:
    Hold(Hold&&) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold(); // Gives it back.

    // By which other processes of this user can hold it too: Client::join().
    const std::string& id() const { return id_; }
    // Returns when it is back, for all who hold it. An error: it may have come to others before.
    // invalid: it was given back already.
    Expected<void> release();

private:
    friend class Client;
    Hold(std::unique_ptr<ConnectionPool> pool, std::string id, Holder holder);

    std::unique_ptr<ConnectionPool> pool_; // For this alone.
    std::string id_;
    Holder holder_;
};

} // namespace evfd
