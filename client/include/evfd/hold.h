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
// the connection does not end the hold. The hold survives execve(2). Child processes do not inherit
// the hold.
//
// A hold of a session lasts until release(), or until the session ends. The session ends when its
// connection to a running daemon ends, for example because this process exits. The session also
// ends if this process does not resume it in time after a restart of the daemon, for example
// because the process is stopped.
class Hold {
public:
    Hold(Hold&&) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold(); // The destructor releases the hold if release() was not called.

    // Returns the identifier of the hold. Other processes of the same user pass it to
    // Client::join().
    const std::string& id() const { return id_; }
    // Releases the hold for all of its holders, and returns after the daemon has returned the
    // token. Fails with invalid if the hold was released or moved from before. If release() fails
    // with any other error, the hold possibly ended earlier. In that case, another client can have
    // consumed the token before this call.
    Expected<void> release();

private:
    friend class Client;
    Hold(std::unique_ptr<ConnectionPool> pool, std::string id, Holder holder);

    std::unique_ptr<ConnectionPool> pool_; // The connections that only this hold uses.
    std::string id_;
    Holder holder_;
};

} // namespace evfd
