// A wait that is there before something else is begun that may set what is waited for: nothing that
// happens from then on is missed.
#pragma once

#include "evfd/client.h"
#include "client/core/wait_request.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

// When it goes before its end, nothing is taken for it.
class ArmedWait {
public:
    using Fired = PendingWait::Fired;

    // Returns once the daemon has it.
    static Try<ArmedWait> begin(const Client& client, std::span<const std::string> names,
                                const WaitOptions& options);

    // What ended it; nothing if one of `others` became readable first. Not to be called after that
    // end, or an error.
    Try<std::optional<Fired>> next(std::span<const int> others);
    // Nothing is taken for it any more; its end, if that was there already.
    std::optional<Fired> call_off() { return pending_.call_off(); }

private:
    enum class Rung { nothing, answer, other };

    ArmedWait(Client client, PendingWait pending, Deadline deadline)
        : client_{std::move(client)}, pending_{std::move(pending)}, deadline_{deadline}
    {
    }

    Try<Rung> ring(std::span<const int> others) const;
    Try<void> ask_for_sign_of_life() const;

    Client client_; // The wait needs its daemon.
    PendingWait pending_;
    Deadline deadline_;
};

} // namespace evfd
