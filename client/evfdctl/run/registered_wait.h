// A wait that is there before something else is begun that may set what is waited for: nothing that
// happens from then on is missed.
#pragma once

#include "client/core/wait_request.h"
#include "evfd/client.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

// When it goes before its end, nothing is taken for it.
class RegisteredWait {
public:
    using Fired = WaitRequest::Fired;

    // Returns once the daemon has it.
    static Expected<RegisteredWait> begin(const Client& client, std::span<const std::string> names,
                                          const WaitOptions& options);

    // What ended it; nothing if one of `others` became readable first. Not to be called after that
    // end, or an error.
    Expected<std::optional<Fired>> next(std::span<const int> others);
    // Nothing is taken for it any more; its end, if that was there already.
    std::optional<Fired> cancel() { return request_.cancel(); }

private:
    enum class Wakeup { timeout, reply, other };

    RegisteredWait(Client client, WaitRequest request, Deadline deadline)
        : client_{std::move(client)}, request_{std::move(request)}, deadline_{deadline}
    {
    }

    Expected<Wakeup> await_wakeup(std::span<const int> others) const;
    Expected<void> check_daemon_alive() const;

    Client client_; // The wait needs its daemon.
    WaitRequest request_;
    Deadline deadline_;
};

} // namespace evfd
