// The sets of one name, or its expirations, one after the other: what `evfdctl on` runs a command
// for. None that comes between two calls is missed.
#pragma once

#include "evfd/client.h"
#include "client/core/wait_request.h"
#include "common/name.h"
#include "common/unique_fd.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace evfd {

class Following {
public:
    // Of a semaphore's tokens one at a time, or as many as there are.
    enum class Tokens { one, all };

    Following(const Client& client, Name name, Tokens tokens)
        : client_{client}, name_{std::move(name)}, tokens_{tokens}
    {
    }

    // What the name is, if it is there already. Reaches the daemon, which may take a while; next()
    // does so if nobody did before.
    Try<void> look();
    // Waits for the next and takes it: how many pulses or expirations came since the last call, how
    // many tokens were there, 1 of everything else. Nothing if one of `others` is readable: then
    // nothing is taken, and the next is waited for further on. deleted: it is no longer there; a
    // name that is not there yet is waited for.
    Try<std::optional<std::int64_t>> next(std::span<const int> others);
    // What next() took, and nobody came to use.
    Try<void> put_back(std::int64_t count);
    // To be called at the end: what was taken for us at the last moment goes back.
    Try<void> end();

private:
    enum class Rung { nothing, own, bell, other };

    bool has_own() const { return pulse_ || timer_; }
    std::vector<std::string> texts() const { return {name_.text()}; }
    Try<void> learn();
    Try<void> check_right_to_clear(const Event& event) const;
    Try<void> learn_from_afar();
    Try<void> check_mode() const;
    Try<void> begin();
    Try<std::int64_t> take_own() const;
    std::int64_t take_rest(std::int64_t taken, std::span<const int> others) const;
    Try<Rung> ring(std::span<const int> others) const;
    Try<std::int64_t> answer(std::span<const int> others);

    Client client_;
    Name name_;
    Tokens tokens_;
    std::optional<Mode> mode_; // Of an event that is there.
    // What counts for us alone, also while nobody waits for it.
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    // The daemon's word that there is something to take; for what is our own, that it is deleted.
    std::optional<PendingWait> bell_;
};

} // namespace evfd
