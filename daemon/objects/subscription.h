// A subscription: a client's private descriptor for one object, and the token that names the
// subscription.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/access/shared_pool.h"
#include "daemon/store/fd_stash.h"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon {

// Names a subscription, a hold or a session: 128 random bits, written as 32 hexadecimal digits.
// Nobody can guess a token: a client that knows a token has chosen it or was given it.
class Token {
public:
    Token() = default;           // Creates a token that is less than every other token.
    static Result<Token> make(); // Returns a random token from getrandom(2).
    // Parses 32 hexadecimal digits. Upper case is the same as lower case.
    static std::optional<Token> parse(std::string_view text);
    // Returns the digits, in lower case. The view is valid as long as this object exists.
    std::string_view text() const { return {digits_.data(), digits_.size()}; }
    friend auto operator<=>(const Token&, const Token&) = default;

private:
    explicit Token(std::array<std::uint64_t, 2> bits);

    // The text is kept, because each record of a session contains it.
    std::array<char, 32> digits_{};
};

struct Subscription {
    std::uint64_t id;       // The id is never reused, not even for an object.
    FdStash::Stored stored; // The eventfd or timerfd of which the subscriber has a duplicate.
    Quota::Charge charge;
    SharedPool::Charge descriptor;
    // The subscriber's place, if the object is a pulse: see Pulse::take_place(). Empty for a timer.
    std::optional<SharedPool::Charge> place = {};

    const UniqueFd& fd() const { return stored.fd(); }
    // Returns whether the state store has the descriptor and a record of the subscription.
    bool is_persistent() const { return stored.is_stored(); }
};

} // namespace evfd::daemon
