// How a call that can fail says so: a value, or the system call that failed and why.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace evfd {

// The system failed us: which call, and its errno.
struct Fault {
    std::string_view call; // A literal, e.g. "timerfd_create(2)".
    int error = 0;         // An errno value.

    // Of the call that failed just now; reads errno.
    static Fault last(std::string_view call);
    std::string message() const;
};

// What a user can do about an errno value, to end a sentence with; empty if nothing is known.
std::string_view errno_hint(int error);

template <class T, class E = Fault>
using Result = std::expected<T, E>;

} // namespace evfd
