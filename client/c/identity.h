// Which open file a descriptor is, as far as /proc tells, for it has a number that may be another's
// by now: eventfds are told apart, of timerfds and epolls only that they are some.
#pragma once

#include <string>

namespace evfd::c {

// Empty, if nothing is to be learnt.
std::string identity_of(int fd);

} // namespace evfd::c
