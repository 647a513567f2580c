// A private descriptor that follows a name, and the token by which its holder speaks of it.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace evfd::daemon {

// 128 random bits, in print 32 hexadecimal digits: knowing one is the proof that it was given.
class Token {
public:
    static Result<Token> make(); // getrandom(2)
    static std::optional<Token> parse(std::string_view text);
    std::string text() const;
    friend auto operator<=>(const Token&, const Token&) = default;

private:
    std::array<std::uint64_t, 2> bits_{};
};

struct Subscription {
    std::uint64_t id; // Never given twice, to an object neither.
    UniqueFd fd;      // An eventfd or a timerfd that its holder has as well.
    Quota::Charge charge;
    bool is_persistent; // In the vault.
};

} // namespace evfd::daemon
