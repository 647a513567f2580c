// Implements the functions of evfd.h that wait.
#include "client/c/fast_path.h"
#include "client/c/with_handle.h"
#include "evfd.h"

#include <fmt/format.h>

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

Result<std::int64_t> wait_for(const Handle& handle, std::optional<nanoseconds> timeout)
{
    const auto consumed =
        std::visit([&](const auto& one) { return one.wait(timeout); }, handle.object);
    if (!consumed)
        return std::unexpected(consumed.error());
    if (*consumed > 0)
        return *consumed;
    // If the descriptor's number belongs to another file by now, the wait was possibly on that
    // other file. Therefore the descriptor is checked after a timeout.
    if (timeout != nanoseconds{0})
        if (const auto verified = handle_table.verify(handle); !verified)
            return std::unexpected(verified.error());
    return timed_out();
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
    const auto fast_path = handle_table.fast_path(fd);
    const auto [consumed, is_doubtful] = try_wait_now(fd, fast_path);
    const auto result =
        fast_path.consumes_one && consumed > 0 ? 1 : static_cast<std::int64_t>(consumed);
    if (consumed > 0 && !is_doubtful)
        return result;
    return to_c_result<std::int64_t>([&, must_check = is_doubtful] {
        return with_handle(fd, [&](const Handle& handle) -> Result<std::int64_t> {
            if (must_check)
                if (const auto verified = handle_table.verify(handle); !verified)
                    return std::unexpected(verified.error());
            return result > 0 ? Result<std::int64_t>{result}
                              : wait_for(handle, to_timeout(timeout_ns));
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
    std::int64_t consumed = 0;
    const int index = evfd_wait_any_name(&name, 1, timeout_ns, &consumed);
    return index < 0 ? index : consumed;
}

int evfd_wait_any_name(const char* const* names, size_t count, int64_t timeout_ns, int64_t* taken)
{
    return to_c_result([&] {
        return with_names(
            names, count, [&](const auto& client, const auto& all) -> Result<std::int64_t> {
                const auto fired =
                    client.wait(all, {.require = Require::any, .timeout = to_timeout(timeout_ns)});
                if (!fired)
                    return std::unexpected(fired.error());
                const auto& first = fired->front();
                return store_result(static_cast<std::size_t>(first.index), first.count, taken);
            });
    });
}

int evfd_wait_all_name(const char* const* names, size_t count, int64_t timeout_ns)
{
    return to_c_result([&] {
        return with_names(names, count, [&](const auto& client, const auto& all) -> Result<void> {
            const auto fired =
                client.wait(all, {.require = Require::all, .timeout = to_timeout(timeout_ns)});
            return fired ? Result<void>{} : std::unexpected(Failure{fired.error()});
        });
    });
}
