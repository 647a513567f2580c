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
    Failure(int of, std::string why) : error{of}, sentence{std::move(why)} {}
    Failure(const Error& of); // NOLINT: Each Error is a Failure, as evfd.h says.

    int error;
    std::string sentence;
};

template <class T>
using Outcome = std::expected<T, Failure>;

template <class T>
Outcome<T> to_outcome(Outcome<T> outcome)
{
    return outcome;
}
template <class T>
Outcome<T> to_outcome(Try<T> tried)
{
    if (!tried)
        return std::unexpected(Failure{tried.error()});
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return Outcome<T>{*std::move(tried)};
}

// Notes the sentence for this thread; what is to be returned.
int fail(int error, std::string_view sentence) noexcept;
const char* last_sentence() noexcept;

// Cancelled in here, a thread would unwind through destructors that do not expect it.
class Uncancelled {
public:
    Uncancelled() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~Uncancelled() { ::pthread_setcancelstate(before_, nullptr); }
    Uncancelled(const Uncancelled&) = delete;
    Uncancelled& operator=(const Uncancelled&) = delete;

private:
    int before_ = 0;
};

// What C is told of an Outcome or a Try: its value, 0 if it has none, or the error.
template <std::integral Number = int, class Body>
Number answer(const Body& body)
{
    const Uncancelled uncancelled;
    try {
        const auto outcome = to_outcome(body());
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
