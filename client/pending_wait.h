// A Wait call that is under way on a connection of its own. It can be called off: then nothing is
// taken for it, or what was taken is told.
#pragma once

#include "client/channel.h"
#include "client/daemon.h"
#include "client/evfd/error.h"

#include <optional>
#include <vector>

namespace evfd {

class PendingWait {
public:
    using Fired = std::vector<protocol::Fired>;

    // The daemon answers at the deadline, if not before.
    static Try<PendingWait> begin(Daemon& daemon, protocol::Wait request, Deadline deadline);

    int fd() const { return channel_.fd(); } // Readable when there is an answer.
    // The answer; timed_out if the time was over. interrupted: the daemon went away.
    Try<Fired> finish();
    // The answer, if there was one already.
    std::optional<Fired> call_off();

private:
    PendingWait(Daemon& daemon, Channel channel) : daemon_{&daemon}, channel_{std::move(channel)} {}

    Daemon* daemon_;
    Channel channel_;
};

} // namespace evfd
