// How a call of the library that did not do what was asked says so.
#pragma once

#include <expected>
#include <string>

namespace evfd {

enum class ErrorCode {
    invalid,       // What was asked makes no sense, as a malformed name does.
    no_such_name,  // There is no object of that name.
    name_taken,    // The name is taken, or its object is of another kind.
    refused,       // A right is missing, or a limit was reached.
    deleted,       // The object was deleted during the wait.
    cancelled,     // The wall clock was set, which cancels the timer.
    timed_out,     // The wait was not over in time.
    no_daemon,     // There is none, or it did not answer in time.
    interrupted,   // The daemon went away before it answered: whether it was done is not known.
    no_descriptor, // This process has no descriptor left.
    system,        // A system call failed that should not.
};

struct Error {
    ErrorCode code;
    std::string message;   // One sentence for people: what is the matter, and what to do.
    bool is_limit = false; // refused: because a limit was reached, not for want of a right.
};

template <class T>
using Expected = std::expected<T, Error>;

} // namespace evfd
