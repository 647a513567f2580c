#include "client/core/wait_set.h"

#include "client/core/connection_pool.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>

namespace evfd {

namespace {

bool has_expired(Deadline deadline)
{
    return deadline && monotonic_now() >= *deadline;
}

} // namespace

Expected<void> WaitSet::check() const
{
    if (all_.empty() || all_.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid,
                  fmt::format("wait for 1 to {} events and timers", max_names_per_call)});
    if (has_duplicates())
        return std::unexpected(Error{ErrorCode::invalid, "wait for each event and timer once"});
    for (const auto* one : all_)
        if (auto permitted = one->check_wait(); !permitted)
            return permitted;
    return {};
}

// Returns the socket path of an object's daemon. Equal paths show that two objects belong to one
// daemon. Comparing their Client objects would not show this, because two Client objects can be
// connected to one daemon.
std::string_view WaitSet::daemon_path(std::size_t index) const
{
    const auto& pool = all_[index]->pool_;
    return pool ? std::string_view{pool->address().path} : "";
}

// Returns whether an object is in the set twice. Such a set is refused, because a single token
// could not serve two entries.
bool WaitSet::has_duplicates() const
{
    std::vector<std::pair<std::string_view, std::string_view>> known;
    for (std::size_t i = 0; i < all_.size(); ++i)
        known.emplace_back(daemon_path(i), all_[i]->name_.text());
    std::ranges::sort(known);
    return std::ranges::adjacent_find(known) != known.end();
}

Expected<std::int64_t> WaitSet::consume(std::size_t index) const
{
    return all_[index]->consumption() == Consumption::none ? Expected<std::int64_t>{1}
                                                           : all_[index]->consume();
}

// The following functions implement wait_any().

Expected<std::optional<WaitResult>> WaitSet::wait_any(Deadline deadline) const
{
    if (auto checked = check(); !checked)
        return std::unexpected(std::move(checked.error()));
    auto found = try_consume();
    if (!found || *found || has_expired(deadline))
        return found;
    AioPoller poller{all_.size()};
    for (std::size_t i = 0; i < all_.size(); ++i)
        if (const auto armed = poller.arm(i, all_[i]->fd()); !armed)
            return std::unexpected(armed.error());
    while (true) {
        const auto ready = poller.wait(deadline);
        if (!ready)
            return std::unexpected(ready.error());
        if (ready->empty())
            return std::nullopt;
        for (const auto index : *ready) {
            const auto consumed = consume(index);
            if (!consumed)
                return std::unexpected(consumed.error());
            if (*consumed > 0)
                return WaitResult{index, *consumed};
            // Another waiter has consumed the token, so the object is watched again.
            if (const auto armed = poller.arm(index, all_[index]->fd()); !armed)
                return std::unexpected(armed.error());
        }
        if (has_expired(deadline))
            return std::nullopt;
    }
}

Expected<std::optional<WaitResult>> WaitSet::try_consume() const
{
    std::vector<pollfd> polled;
    for (const auto* one : all_)
        polled.push_back({one->fd(), POLLIN, 0});
    if (::poll(polled.data(), polled.size(), 0) <= 0)
        return std::nullopt;
    for (std::size_t i = 0; i < all_.size(); ++i) {
        if ((polled[i].revents & POLLIN) == 0)
            continue;
        const auto consumed = consume(i);
        if (!consumed)
            return std::unexpected(consumed.error());
        if (*consumed > 0)
            return WaitResult{i, *consumed};
    }
    return std::nullopt;
}

// The following functions implement wait_all().

Expected<bool> WaitSet::wait_all(Deadline deadline) const
{
    if (auto checked = check(); !checked)
        return std::unexpected(std::move(checked.error()));
    std::vector<std::size_t> which(all_.size());
    std::iota(which.begin(), which.end(), std::size_t{0});
    AioPoller poller{all_.size()};
    while (true) {
        const auto latched = await_each(poller, which, deadline);
        if (!latched || !*latched)
            return latched;
        const auto missed = consume_all();
        if (!missed)
            return std::unexpected(missed.error());
        if (!*missed)
            return true;
        // The deadline is checked here, because other waiters could keep this loop running
        // indefinitely.
        if (has_expired(deadline))
            return false;
        which = {**missed};
    }
}

// Waits until each object in `which` has become readable at least once. Returns false if the
// deadline passed first.
Expected<bool> WaitSet::await_each(AioPoller& poller, const std::vector<std::size_t>& which,
                                   Deadline deadline) const
{
    for (const auto index : which)
        if (const auto armed = poller.arm(index, all_[index]->fd()); !armed)
            return std::unexpected(armed.error());
    for (auto remaining = which.size(); remaining > 0;) {
        const auto ready = poller.wait(deadline);
        if (!ready)
            return std::unexpected(ready.error());
        if (ready->empty())
            return false;
        remaining -= ready->size();
    }
    return true;
}

// Consumes from every object, except from objects whose mode leaves nothing to consume. Returns
// nothing on success. If an object is empty because another waiter was faster, gives back the
// tokens already consumed from the other objects and returns the index of the empty object.
Expected<std::optional<std::size_t>> WaitSet::consume_all() const
{
    std::vector<WaitResult> consumed;
    // Tokens come first, because other waiters can consume them. The counts of pulses and timers
    // come last: no other waiter can consume these counts, so they are certain to be there.
    for (const auto kind : {Consumption::shared, Consumption::exclusive})
        for (std::size_t i = 0; i < all_.size(); ++i) {
            if (all_[i]->consumption() != kind)
                continue;
            const auto count = all_[i]->consume();
            const bool was_consumed = count && *count > 0;
            if (was_consumed && kind == Consumption::shared)
                consumed.push_back({i, *count});
            if (was_consumed || (count && kind == Consumption::exclusive))
                continue;
            for (const auto& item : consumed)
                if (const auto restored = all_[item.index]->restore(item.count); !restored)
                    return std::unexpected(restored.error());
            if (!count)
                return std::unexpected(count.error());
            return i;
        }
    return std::nullopt;
}

} // namespace evfd
