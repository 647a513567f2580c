// TriggerSource: tells `evfdctl on` each time that an event is set or a timer expires. A set or an
// expiration between two calls of next() is not lost, unless another client clears the event or
// consumes from the event before the second call.
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
    // How many tokens of a semaphore one call of next() consumes: one, or all available tokens.
    enum class Tokens { one, all };

    TriggerSource(const Client& client, Name name, Tokens tokens)
        : client_{client}, name_{std::move(name)}, tokens_{tokens}
    {
    }

    // Determines the kind of the object, if the object exists. Connects to the daemon, which can
    // take a while. next() calls this function if necessary.
    Expected<void> identify_if_exists();
    // Waits until the event is set or the timer expires, and consumes from it. If the name does not
    // exist yet, also waits for the creation of the object.
    // Returns the number of pulses or expirations since the last call, the number of consumed
    // tokens of a semaphore, or 1 for any other event.
    // Returns nothing and consumes nothing if one of `others` becomes readable first. The next call
    // continues the wait.
    // Fails with ErrorCode::deleted if the object was deleted.
    Expected<std::optional<std::int64_t>> next(std::span<const int> others);
    // Gives the consumed tokens back by setting the event again. `count` is the return value of
    // next(). Called if a signal ends evfdctl before a command has handled the tokens. Does nothing
    // for a pulse or a timer.
    Expected<void> restore(std::int64_t count);
    // Ends the wait. If the wait consumed a token before the daemon could cancel the wait, sets the
    // event again.
    Expected<void> finish();

private:
    enum class Wakeup { timeout, private_fd, reply, other };

    bool has_private_fd() const { return pulse_ || timer_; }
    std::vector<std::string> texts() const { return {std::string{name_.text()}}; }
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
    std::optional<Mode> mode_; // The mode of the event, once the event is known to exist.
    // The object, if the object is a pulse or a timer. The private descriptor counts pulses or
    // expirations even while no wait is registered.
    std::optional<Event> pulse_;
    std::optional<Timer> timer_;
    // The wait that the daemon has registered. For a pulse or a timer, this wait only reports that
    // the object was deleted.
    std::optional<WaitRequest> wait_;
};

} // namespace evfd
