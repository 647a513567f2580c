// evfd.h: waits.
#include "client/c/fast_path.h"
#include "client/c/with_handle.h"
#include "evfd.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <variant>
#include <vector>

namespace evfd::c {

namespace {

constexpr auto in_vain = "the time was over first; wait longer, or see why nobody sets it";

std::unexpected<Failure> timed_out()
{
    return std::unexpected(Failure{ETIMEDOUT, in_vain});
}

Outcome<std::int64_t> wait_for(const Open& open, std::optional<nanoseconds> timeout)
{
    const auto taken = std::visit([&](const auto& one) { return one.wait(timeout); }, open.object);
    if (!taken)
        return std::unexpected(taken.error());
    if (*taken > 0)
        return *taken;
    if (timeout != nanoseconds{0}) // For who slept this is nothing; perhaps nobody set it, then.
        if (const auto is_ours = descriptors.check(open); !is_ours)
            return std::unexpected(is_ours.error());
    return timed_out();
}

// What several descriptors are, for as long as it is waited for them.
struct Several {
    std::vector<Held> held;
    std::vector<const Waitable*> waitables;
};

Outcome<Several> several(const int* fds, std::size_t count)
{
    if (!fds || count == 0 || count > max_names_per_call)
        return senseless(fmt::format("wait for 1 to {} events and timers", max_names_per_call));
    Several all;
    for (std::size_t i = 0; i < count; ++i) {
        auto held = descriptors.find(fds[i]);
        if (!held)
            return std::unexpected(held.error());
        all.waitables.push_back(&(*held)->waitable());
        all.held.push_back(*std::move(held));
    }
    return all;
}

Outcome<std::int64_t> note(std::size_t index, std::int64_t count, std::int64_t* taken)
{
    if (taken)
        *taken = count;
    return static_cast<std::int64_t>(index);
}

} // namespace
} // namespace evfd::c

using namespace evfd::c;
using evfd::Gather;

int64_t evfd_wait(int fd, int64_t timeout_ns)
{
    const auto ways = descriptors.ways(fd);
    const auto [taken, is_doubtful] = take_at_once(fd, ways);
    const auto told = ways.takes_one && taken > 0 ? 1 : static_cast<std::int64_t>(taken);
    if (taken > 0 && !is_doubtful)
        return told;
    return answer<std::int64_t>([&, must_check = is_doubtful] {
        return with_open(fd, [&](const Open& open) -> Outcome<std::int64_t> {
            if (must_check)
                if (const auto is_ours = descriptors.check(open); !is_ours)
                    return std::unexpected(is_ours.error());
            return told > 0 ? Outcome<std::int64_t>{told} : wait_for(open, to_timeout(timeout_ns));
        });
    });
}

int evfd_wait_any(const int* fds, size_t count, int64_t timeout_ns, int64_t* taken)
{
    return answer([&]() -> Outcome<std::int64_t> {
        const auto all = several(fds, count);
        if (!all)
            return std::unexpected(all.error());
        const auto woken = evfd::wait_any(all->waitables, to_timeout(timeout_ns));
        if (!woken)
            return std::unexpected(woken.error());
        return *woken ? note((*woken)->index, (*woken)->count, taken) : timed_out();
    });
}

int evfd_wait_all(const int* fds, size_t count, int64_t timeout_ns)
{
    return answer([&]() -> Outcome<void> {
        const auto all = several(fds, count);
        if (!all)
            return std::unexpected(all.error());
        const auto came = evfd::wait_all(all->waitables, to_timeout(timeout_ns));
        if (!came)
            return std::unexpected(came.error());
        return *came ? Outcome<void>{} : timed_out();
    });
}

int evfd_latches_waits()
{
    return answer([]() -> Outcome<int> { return evfd::latches_waits() ? 1 : 0; });
}

int64_t evfd_wait_name(const char* name, int64_t timeout_ns)
{
    std::int64_t taken = 0;
    const int index = evfd_wait_any_name(&name, 1, timeout_ns, &taken);
    return index < 0 ? index : taken;
}

int evfd_wait_any_name(const char* const* names, size_t count, int64_t timeout_ns, int64_t* taken)
{
    return answer([&] {
        return with_names(
            names, count, [&](const auto& client, const auto& all) -> Outcome<std::int64_t> {
                const auto fired =
                    client.wait(all, {.gather = Gather::any, .timeout = to_timeout(timeout_ns)});
                if (!fired)
                    return std::unexpected(fired.error());
                const auto& first = fired->front();
                const auto named = std::ranges::find(all, first.name.text());
                return note(static_cast<std::size_t>(named - all.begin()), first.count, taken);
            });
    });
}

int evfd_wait_all_name(const char* const* names, size_t count, int64_t timeout_ns)
{
    return answer([&] {
        return with_names(names, count, [&](const auto& client, const auto& all) -> Outcome<void> {
            const auto fired =
                client.wait(all, {.gather = Gather::all, .timeout = to_timeout(timeout_ns)});
            return fired ? Outcome<void>{} : std::unexpected(Failure{fired.error()});
        });
    });
}
