// Which open file a descriptor is, as far as /proc tells, for it has a number that may be another's
// by now: eventfds are told apart, of timerfds and epolls only that they are some.
#pragma once

#include <optional>
#include <string>

namespace evfd::c {

// Each as far as it is known: there may be no /proc, or no descriptor left to read in it.
struct Identity {
    std::optional<std::string> link;
    std::optional<std::string> eventfd_id; // Empty, if it is no eventfd.
};
Identity identity_of(int fd);

// Whether it is seen that they are two.
bool are_different(const Identity& one, const Identity& other);

} // namespace evfd::c
