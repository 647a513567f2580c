// How a function of evfd.h ends: with a number, or with an errno value and a sentence. Nothing is
// thrown into C.
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
    Failure(int of, std::string why) : error{of}, message{std::move(why)} {}
    Failure(const Error& of); // NOLINT: Each Error is a Failure, as evfd.h says.

    int error;
    std::string message;
};

template <class T>
using Result = std::expected<T, Failure>;

template <class T>
Result<T> to_result(Result<T> outcome)
{
    return outcome;
}
template <class T>
Result<T> to_result(Expected<T> tried)
{
    if (!tried)
        return std::unexpected(Failure{tried.error()});
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return Result<T>{*std::move(tried)};
}

// Notes the sentence for this thread; what is to be returned.
int fail(int error, std::string_view message) noexcept;
const char* last_error_message() noexcept;

// Cancelled in here, a thread would unwind through destructors that do not expect it.
class CancellationGuard {
public:
    CancellationGuard() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &previous_state_); }
    ~CancellationGuard() { ::pthread_setcancelstate(previous_state_, nullptr); }
    CancellationGuard(const CancellationGuard&) = delete;
    CancellationGuard& operator=(const CancellationGuard&) = delete;

private:
    int previous_state_ = 0;
};

// What C is told of an Outcome or a Try: its value, 0 if it has none, or the error.
template <std::integral Number = int, class Body>
Number to_c_result(const Body& body)
{
    const CancellationGuard uncancelled;
    try {
        const auto outcome = to_result(body());
        if (!outcome)
            return fail(outcome.error().error, outcome.error().sentence);
        if constexpr (requires { static_cast<Number>(*outcome); })
            return static_cast<Number>(*outcome);
        else
            return 0;
    } catch (const std::bad_alloc&) {
        return fail(ENOMEM, "there is no memory left");
    } catch (const std::exception& thrown) {
        return fail(EIO, thrown.what());
    }
}

} // namespace evfd::c
