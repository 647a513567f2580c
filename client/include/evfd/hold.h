// Hold: a token of a semaphore, or an auto event as a lock, held until it is released.
#pragma once

#include "common/enums.h"
#include "evfd/error.h"

#include <memory>
#include <string>

namespace evfd {

class ConnectionPool;

// A hold survives a restart of the daemon.
//
// A hold of a process lasts until release(), or until the process exits or is killed. The end of
// the connection does not end the hold. The hold survives execve(2), and child processes do not
// inherit it. A hold of a session also ends with this process. After a restart of the daemon, this
// process must resume its session in time. If the process is stopped and therefore does not resume
// the session, the hold is lost.
class Hold {
public:
    Hold(Hold&&) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold(); // The destructor releases the hold if release() was not called.

    // Returns the identifier of the hold. Other processes of the same user pass it to
    // Client::join().
    const std::string& id() const { return id_; }
    // Releases the hold for all of its holders, and returns after the daemon has returned the
    // token. Fails with invalid if the hold was released or moved from before. After any other
    // error, another client can have got the token before this call.
    Expected<void> release();

private:
    friend class Client;
    Hold(std::unique_ptr<ConnectionPool> pool, std::string id, Holder holder);

    std::unique_ptr<ConnectionPool> pool_; // The connections that only this hold uses.
    std::string id_;
    Holder holder_;
};

} // namespace evfd
