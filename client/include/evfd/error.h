// The error that a failed call of the C++ library returns.
#pragma once

#include <expected>
#include <string>

namespace evfd {

enum class ErrorCode {
    invalid,      // An argument is not valid, for example a malformed name.
    no_such_name, // No object has this name.
    name_taken,   // The name is taken, or its object is of another kind or mode.
    refused,      // A permission is missing, or a limit was reached (Error::is_limit).
    deleted,      // The object was deleted during the wait, or another object has its name now.
    cancelled,    // The wall clock was set, which cancelled the timer.
    timed_out,    // The timeout passed before the wait was complete.
    no_daemon,    // No daemon is running, or it did not answer in time.
    // The connection was lost before the reply: it is unknown whether the call was executed.
    interrupted,
    no_descriptor, // The process has no free file descriptor.
    system,        // A system call failed unexpectedly.
};

struct Error {
    ErrorCode code;
    std::string message; // One sentence for people: the cause, and what to do about it.
    // True only with `refused`, if the cause is a limit and not a missing permission.
    bool is_limit = false;
};

template <class T>
using Expected = std::expected<T, Error>;

} // namespace evfd
