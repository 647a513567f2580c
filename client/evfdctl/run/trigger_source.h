// The sets of one name, or its expirations, one after the other: what `evfdctl on` runs a command
// for. None that comes between two calls is missed.
#pragma once

#include "client/core/wait_request.h"
#include "common/name.h"
#include "common/unique_fd.h"
#include "evfd/client.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

class TriggerSource {
public:
    // Of a semaphore's tokens one at a time, or as many as there are.
    enum class Tokens { one, all };

    TriggerSource(const Client& client, Name name, Tokens tokens)
        : client_{client}, name_{std::move(name)}, tokens_{tokens}
    {
    }

    // What the name is, if it is there already. Reaches the daemon, which may take a while; next()
    // does so if nobody did before.
    Expected<void> identify_if_exists();
    // Waits for the next and takes it: how many pulses or expirations came since the last call, how
    // many tokens were there, 1 of everything else. Nothing if one of `others` is readable: then
    // nothing is taken, and the next is waited for further on. deleted: it is no longer there; a
    // name that is not there yet is waited for.
    Expected<std::optional<std::int64_t>> next(std::span<const int> others);
    // What next() took, and nobody came to use.
    Expected<void> restore(std::int64_t count);
    // To be called at the end: what was taken for us at the last moment goes back.
    Expected<void> finish();

private:
    enum class Wakeup { timeout, private_fd, reply, other };

    bool has_private_fd() const { return pulse_ || timer_; }
    std::vector<std::string> texts() const { return {name_.text()}; }
    Expected<void> identify();
    Expected<void> check_may_clear(const Event& event) const;
    Expected<void> identify_remote();
    Expected<void> check_mode() const;
    Expected<void> begin_wait();
    Expected<std::int64_t> consume_private() const;
    std::int64_t consume_remaining(std::int64_t taken, std::span<const int> others) const;
    Expected<Wakeup> await_wakeup(std::span<const int> others) const;
    Expected<std::int64_t> handle_reply(std::span<const int> others);

    Client client_;
    Name name_;
    Tokens tokens_;
    std::optional<Mode> mode_; // Of an event that is there.
    // What counts for us alone, also while nobody waits for it.
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    // The daemon's word that there is something to take; for what is our own, that it is deleted.
    std::optional<WaitRequest> wait_;
};

} // namespace evfd
