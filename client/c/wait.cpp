// Implements the functions of evfd.h that wait.
#include "client/c/deadline_timer.h"
#include "client/c/fast_path.h"
#include "client/c/with_handle.h"
#include "evfd.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <variant>
#include <vector>

namespace evfd::c {

namespace {

constexpr auto timeout_message = "the wait timed out; wait longer, or check why nothing sets it";

std::unexpected<Failure> timed_out()
{
    return std::unexpected(Failure{ETIMEDOUT, timeout_message});
}

std::unexpected<Failure> not_set(const Handle& handle)
{
    return std::unexpected(
        Failure{EAGAIN, fmt::format("'{}' is not set; try again later, or wait for it",
                                    handle.waitable().name().text())});
}

// The amount that a wait for an object consumed, or nothing if the wait timed out.
using Consumed = Result<std::optional<std::int64_t>>;

Consumed to_consumed(const Expected<std::int64_t>& consumed)
{
    if (!consumed)
        return std::unexpected(Failure{consumed.error()});
    return *consumed > 0 ? std::optional{*consumed} : std::nullopt;
}

Consumed wait_for(const Handle& handle, std::optional<nanoseconds> timeout)
{
    return to_consumed(
        std::visit([&](const auto& one) { return one.wait(timeout); }, handle.object));
}

// Waits until a time on a clock other than the monotonic clock. The kernel wakes the wait at that
// time even if the wall clock was set meanwhile.
Consumed wait_until_expiry(const Handle& handle, const DeadlineTimer& deadline)
{
    const std::array<const Waitable*, 2> either{&handle.waitable(), &deadline};
    const auto result = evfd::wait_any(either);
    if (!result)
        return std::unexpected(Failure{result.error()});
    // Without a timeout the wait ends only by one of the two.
    return result->value().index == 0 ? std::optional{result->value().count} : std::nullopt;
}

Consumed wait_until(const Handle& handle, Clock clock, nanoseconds deadline)
{
    if (clock == Clock::monotonic)
        return to_consumed(
            std::visit([&](const auto& one) { return one.wait_until(MonotonicTime{deadline}); },
                       handle.object));
    // Only a wait that sleeps makes a timer, which needs a free descriptor.
    auto checked = wait_for(handle, nanoseconds{0});
    if (!checked || *checked || deadline <= now_on(clock))
        return checked;
    const auto timer = DeadlineTimer::make(clock, deadline);
    return timer ? wait_until_expiry(handle, *timer) : std::unexpected(timer.error());
}

// Returns the amount consumed. If the wait has timed out, checks the descriptor: if its number
// belongs to another file by now, the wait was possibly on that other file.
Result<std::int64_t> to_amount(const Handle& handle, const Consumed& consumed)
{
    if (!consumed)
        return std::unexpected(consumed.error());
    if (*consumed)
        return **consumed;
    if (const auto verified = handle_table.verify(handle); !verified)
        return std::unexpected(verified.error());
    return timed_out();
}

// What the fast path consumed. A doubtful amount is possibly of another file, and is valid only
// if the descriptor is still the object's.
struct FastWait {
    std::int64_t amount;
    bool is_doubtful;
};

FastWait try_fast_path(int fd)
{
    const auto fast_path = handle_table.fast_path(fd);
    const auto [consumed, is_doubtful] = try_wait_now(fd, fast_path);
    return {fast_path.consumes_one && consumed > 0 ? 1 : static_cast<std::int64_t>(consumed),
            is_doubtful};
}

// Completes a wait that the fast path could not complete. Calls `wait` with the handle.
template <class Wait>
Result<std::int64_t> complete_wait(int fd, FastWait fast, const Wait& wait)
{
    return with_handle(fd, [&](const Handle& handle) -> Result<std::int64_t> {
        if (fast.is_doubtful)
            if (const auto verified = handle_table.verify(handle); !verified)
                return std::unexpected(verified.error());
        return fast.amount > 0 ? Result<std::int64_t>{fast.amount} : wait(handle);
    });
}

Result<Clock> to_deadline_clock(int clock)
{
    const auto known = to_clock(clock, true);
    if (known && !is_alarm(*known))
        return known;
    return invalid_argument(
        fmt::format("{} is not a clock of a deadline; give EVFD_CLOCK_REALTIME, "
                    "EVFD_CLOCK_MONOTONIC or EVFD_CLOCK_BOOTTIME",
                    clock));
}

Result<nanoseconds> to_deadline(std::int64_t deadline_ns)
{
    if (deadline_ns >= 0)
        return nanoseconds{deadline_ns};
    return invalid_argument(fmt::format("{} is not a time on a clock; give a deadline of at least "
                                        "0, or use evfd_wait() for a timeout",
                                        deadline_ns));
}

// The open objects of one wait. A HandleSet keeps the objects alive until the wait ends.
struct HandleSet {
    std::vector<HandlePtr> handles;
    std::vector<const Waitable*> waitables;
};

Result<HandleSet> find_all(const int* fds, std::size_t count)
{
    if (!fds || count == 0 || count > max_names_per_call)
        return invalid_argument(
            fmt::format("wait for 1 to {} events and timers", max_names_per_call));
    HandleSet all;
    for (std::size_t i = 0; i < count; ++i) {
        auto handle = handle_table.find(fds[i]);
        if (!handle)
            return std::unexpected(handle.error());
        all.waitables.push_back(&(*handle)->waitable());
        all.handles.push_back(*std::move(handle));
    }
    return all;
}

Result<std::int64_t> store_result(std::size_t index, std::int64_t count, std::int64_t* taken)
{
    if (taken)
        *taken = count;
    return static_cast<std::int64_t>(index);
}

} // namespace
} // namespace evfd::c

using namespace evfd::c;
using evfd::Require;

int64_t evfd_wait(int fd, int64_t timeout_ns)
{
    const auto fast = try_fast_path(fd);
    if (fast.amount > 0 && !fast.is_doubtful)
        return fast.amount;
    return to_c_result<std::int64_t>([&] {
        return complete_wait(fd, fast, [&](const Handle& handle) -> Result<std::int64_t> {
            const auto consumed = wait_for(handle, to_timeout(timeout_ns));
            if (timeout_ns == 0 && consumed && !*consumed)
                return timed_out(); // A check of the descriptor would take longer than the wait.
            return to_amount(handle, consumed);
        });
    });
}

int64_t evfd_trywait(int fd)
{
    const auto fast = try_fast_path(fd);
    if (fast.amount > 0 && !fast.is_doubtful)
        return fast.amount;
    return to_c_result<std::int64_t>([&] {
        return complete_wait(fd, fast, [](const Handle& handle) -> Result<std::int64_t> {
            const auto consumed = wait_for(handle, evfd::nanoseconds{0});
            if (!consumed)
                return std::unexpected(consumed.error());
            return *consumed ? Result<std::int64_t>{**consumed} : not_set(handle);
        });
    });
}

int64_t evfd_wait_until(int fd, int clock, int64_t deadline_ns)
{
    return to_c_result<std::int64_t>([&]() -> Result<std::int64_t> {
        const auto known = to_deadline_clock(clock);
        if (!known)
            return std::unexpected(known.error());
        const auto deadline = to_deadline(deadline_ns);
        if (!deadline)
            return std::unexpected(deadline.error());
        const auto fast = try_fast_path(fd);
        if (fast.amount > 0 && !fast.is_doubtful)
            return fast.amount;
        return complete_wait(fd, fast, [&](const Handle& handle) {
            return to_amount(handle, wait_until(handle, *known, *deadline));
        });
    });
}

int evfd_wait_any(const int* fds, size_t count, int64_t timeout_ns, int64_t* taken)
{
    return to_c_result([&]() -> Result<std::int64_t> {
        const auto all = find_all(fds, count);
        if (!all)
            return std::unexpected(all.error());
        const auto result = evfd::wait_any(all->waitables, to_timeout(timeout_ns));
        if (!result)
            return std::unexpected(result.error());
        return *result ? store_result((*result)->index, (*result)->count, taken) : timed_out();
    });
}

int evfd_wait_all(const int* fds, size_t count, int64_t timeout_ns)
{
    return to_c_result([&]() -> Result<void> {
        const auto all = find_all(fds, count);
        if (!all)
            return std::unexpected(all.error());
        const auto completed = evfd::wait_all(all->waitables, to_timeout(timeout_ns));
        if (!completed)
            return std::unexpected(completed.error());
        return *completed ? Result<void>{} : timed_out();
    });
}

int evfd_latches_waits()
{
    return to_c_result([]() -> Result<int> { return evfd::supports_latched_wait() ? 1 : 0; });
}

int64_t evfd_wait_name(const char* name, int64_t timeout_ns)
{
    return evfd_client_wait(nullptr, name, timeout_ns);
}

int evfd_wait_any_name(const char* const* names, size_t count, int64_t timeout_ns, int64_t* taken)
{
    return evfd_client_wait_any(nullptr, names, count, timeout_ns, taken);
}

int evfd_wait_all_name(const char* const* names, size_t count, int64_t timeout_ns)
{
    return evfd_client_wait_all(nullptr, names, count, timeout_ns);
}

int64_t evfd_client_wait(evfd_client* of, const char* name, int64_t timeout_ns)
{
    std::int64_t consumed = 0;
    const int index = evfd_client_wait_any(of, &name, 1, timeout_ns, &consumed);
    return index < 0 ? index : consumed;
}

int evfd_client_wait_any(evfd_client* of, const char* const* names, size_t count,
                         int64_t timeout_ns, int64_t* taken)
{
    return to_c_result([&] {
        return with_names(
            of, names, count, [&](const auto& client, const auto& all) -> Result<std::int64_t> {
                const auto fired =
                    client.wait(all, {.require = Require::any, .timeout = to_timeout(timeout_ns)});
                if (!fired)
                    return std::unexpected(fired.error());
                const auto& first = fired->front();
                return store_result(static_cast<std::size_t>(first.index), first.count, taken);
            });
    });
}

int evfd_client_wait_all(evfd_client* of, const char* const* names, size_t count,
                         int64_t timeout_ns)
{
    return to_c_result([&] {
        return with_names(
            of, names, count, [&](const auto& client, const auto& all) -> Result<void> {
                const auto fired =
                    client.wait(all, {.require = Require::all, .timeout = to_timeout(timeout_ns)});
                return fired ? Result<void>{} : std::unexpected(Failure{fired.error()});
            });
    });
}
