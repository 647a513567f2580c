// TriggerSource: the sets or expirations of one name, one after another, for `evfdctl on`. Those
// between two calls of next() are not lost.
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
    // Tokens of a semaphore to consume per call.
    enum class Tokens { one, all };

    TriggerSource(const Client& client, Name name, Tokens tokens)
        : client_{client}, name_{std::move(name)}, tokens_{tokens}
    {
    }

    // Determines the kind of the object if it exists. Connects, which may take a while. next()
    // calls it if necessary.
    Expected<void> identify_if_exists();
    // Waits for the next trigger and consumes it. Returns the number of pulses or expirations since
    // the last call, or the number of consumed tokens, or 1. Returns nothing if one of `others` is
    // readable; nothing is consumed then, and the wait continues with the next call. deleted: the
    // object was deleted. A name that does not exist yet is waited for.
    Expected<std::optional<std::int64_t>> next(std::span<const int> others);
    // Restores what next() consumed, if no command has used it.
    Expected<void> restore(std::int64_t count);
    // Ends the wait. Restores a token that it consumed at the last moment.
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
    std::int64_t consume_remaining(std::int64_t consumed, std::span<const int> others) const;
    Expected<Wakeup> await_wakeup(std::span<const int> others) const;
    Expected<std::int64_t> handle_reply(std::span<const int> others);

    Client client_;
    Name name_;
    Tokens tokens_;
    std::optional<Mode> mode_; // Mode of an existing event.
    // Private counters, which also count while no wait is registered.
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    // The registered wait. For a private counter it only reports that the object was deleted.
    std::optional<WaitRequest> wait_;
};

} // namespace evfd
