// RegisteredWait: a wait that the daemon has confirmed before the caller continues.
//
// `evfdctl wait NAME -- COMMAND` starts COMMAND only after the daemon has registered the wait. So
// the wait is never too late if COMMAND sets NAME at once. begin() sends the call Wait with the
// flag `more`, which asks for several replies. The first reply confirms the registration, and the
// second reply is the result. The caller watches the wait together with other descriptors, such as
// those for signals and for a child: next() returns when the wait is complete, or when one of the
// caller's descriptors becomes readable.
//
// If the connection is lost, next() resumes the session and sends the call again; the daemon keeps
// the wait's result meanwhile.
//
// Invariants:
//   - A wait that is destroyed or cancelled before its end consumes nothing. If the wait is already
//     complete, cancel() returns the result of the wait.
//   - A daemon that does not answer is detected: at the deadline of the wait, or by a call at every
//     keepalive interval.
#pragma once

#include "client/core/wait_request.h"
#include "evfd/client.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

class RegisteredWait {
public:
    using Fired = WaitRequest::Fired;

    // Begins a wait. Returns after the daemon has confirmed the wait.
    static Expected<RegisteredWait> begin(const Client& client, std::span<const std::string> names,
                                          const WaitOptions& options);

    // Returns the result of the wait, or nothing if one of `others` became readable first. Must not
    // be called again after a result or an error.
    Expected<std::optional<Fired>> next(std::span<const int> others);
    // Ends the wait. Returns the result if the wait was already complete.
    std::optional<Fired> cancel() { return request_.cancel(); }

private:
    enum class Wakeup { timeout, reply, other };

    RegisteredWait(Client client, WaitRequest request, Deadline deadline)
        : client_{std::move(client)}, request_{std::move(request)}, deadline_{deadline}
    {
    }

    Expected<Wakeup> await_wakeup(std::span<const int> others) const;
    Expected<void> check_daemon_alive() const;

    Client client_; // Keeps the connection of the wait open.
    WaitRequest request_;
    Deadline deadline_;
};

} // namespace evfd
