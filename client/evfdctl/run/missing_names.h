// MissingNames: says once on standard error which of the awaited names do not exist yet, because a
// person at a terminal can have mistyped a name.
#pragma once

#include "client/evfdctl/verb.h"
#include "common/unique_fd.h"

#include <span>
#include <string>

namespace evfd::control {

class MissingNames {
public:
    // Begins to count a second. If standard error is not a terminal, or the verb is quiet, or no
    // descriptor is free, MissingNames prints nothing.
    MissingNames(const Verb& verb, std::span<const std::string> names);

    // Returns a descriptor that polls readable after the second, or -1 if there is nothing to say
    // any more. poll(2) ignores -1.
    int fd() const { return second_ ? second_.get() : -1; }
    // Prints the names that do not exist, if the second has passed.
    void report_if_due(const Client& client);

private:
    std::span<const std::string> names_;
    UniqueFd second_; // A timerfd.
};

} // namespace evfd::control
