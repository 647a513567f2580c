// The sets of one name, or its expirations, one after the other: what `evfdctl on` runs a command
// for. None that comes between two calls is missed.
#pragma once

#include "client/evfd/client.h"
#include "client/pending_wait.h"
#include "common/name.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

class Following {
public:
    Following(const Client& client, Name name) : client_{client}, name_{std::move(name)} {}

    // Waits for the next and takes it: how many pulses or expirations came since the last call, 1
    // of everything else. Nothing if `stop` became readable first: then nothing is taken. deleted:
    // it is no longer there; a name that is not there yet is waited for.
    Try<std::optional<std::int64_t>> next(const UniqueFd& stop);

private:
    enum class Rung { nothing, own, bell, stop };

    bool has_own() const { return pulse_ || timer_; }
    std::vector<std::string> texts() const { return {name_.text()}; }
    Try<void> learn();
    Try<void> begin();
    Try<std::int64_t> take_own() const;
    Try<Rung> ring(const UniqueFd& stop) const;
    Try<std::int64_t> answer();
    Try<void> call_off();

    Client client_;
    Name name_;
    std::optional<Mode> mode_; // Of an event that is there.
    // What counts for us alone, also while nobody waits for it.
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    // The daemon's word that there is something to take; for what is our own, that it is deleted.
    std::optional<PendingWait> bell_;
};

} // namespace evfd
