// The result of an operation that can fail: a value, or the failed system call and its errno.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace evfd {

// A failed system call and its errno.
struct Fault {
    std::string_view call; // A string literal, such as "timerfd_create(2)".
    int error = 0;         // An errno value.

    // Returns the fault of the call that has just failed, with the present value of errno.
    static Fault last(std::string_view call);
    std::string message() const;
};

// Returns advice about an errno value, as text to append to a sentence. The text is empty if there
// is no advice.
std::string_view errno_hint(int error);

template <class T, class E = Fault>
using Result = std::expected<T, E>;

} // namespace evfd
