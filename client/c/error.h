// The result of a function of evfd.h: a number, or an errno value and a message. No exception
// leaves a C function.
#pragma once

#include "evfd/error.h"

#include <pthread.h>

#include <cerrno>
#include <concepts>
#include <exception>
#include <expected>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace evfd::c {

struct Failure {
    Failure(int number, std::string text) : error{number}, message{std::move(text)} {}
    // evfd.h documents the errno value of each Error. The value of name_taken is EBUSY; the
    // functions for which it is another value replace it.
    Failure(const Error& of); // NOLINT: implicit conversion.

    int error;
    std::string message;
};

template <class T>
using Result = std::expected<T, Failure>;

template <class T>
Result<T> to_result(Result<T> result)
{
    return result;
}
template <class T>
Result<T> to_result(Expected<T> input)
{
    if (!input)
        return std::unexpected(Failure{input.error()});
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return Result<T>{*std::move(input)};
}

// Stores the message for evfd_error() in this thread, sets errno, and returns -error.
int fail(int error, std::string_view message) noexcept;
const char* last_error_message() noexcept;

// Disables the cancellation of the calling thread as long as the guard exists. A cancellation
// unwinds the stack, and the library's destructors are not written for that. See pthread_cancel(3).
class CancellationGuard {
public:
    CancellationGuard() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &previous_state_); }
    ~CancellationGuard() { ::pthread_setcancelstate(previous_state_, nullptr); }
    CancellationGuard(const CancellationGuard&) = delete;
    CancellationGuard& operator=(const CancellationGuard&) = delete;

private:
    int previous_state_ = 0;
};

// Calls `body` and converts its result for C: the value, 0 for void, or a negative errno value.
template <std::integral Number = int, class Body>
Number to_c_result(const Body& body)
{
    const CancellationGuard uncancelled;
    try {
        const auto result = to_result(body());
        if (!result)
            return fail(result.error().error, result.error().message);
        if constexpr (requires { static_cast<Number>(*result); })
            return static_cast<Number>(*result);
        else
            return 0;
    } catch (const std::bad_alloc&) {
        return fail(ENOMEM, "out of memory");
    } catch (const std::exception& thrown) {
        return fail(EIO, thrown.what());
    }
}

} // namespace evfd::c
