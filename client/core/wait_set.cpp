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

// By which daemons are told apart: one may be known by several connections.
std::string_view WaitSet::daemon_path(std::size_t index) const
{
    const auto& daemon = all_[index]->pool_;
    return daemon ? std::string_view{daemon->address().path} : "";
}

// A token that is there once could not be taken for both.
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

// Any.

Expected<std::optional<WaitResult>> WaitSet::wait_any(Deadline deadline) const
{
    if (auto checked = check(); !checked)
        return std::unexpected(std::move(checked.error()));
    auto there = try_consume();
    if (!there || *there || has_expired(deadline))
        return there;
    AioPoller poller{all_.size()};
    for (std::size_t i = 0; i < all_.size(); ++i)
        if (const auto armed = poller.arm(i, all_[i]->fd()); !armed)
            return std::unexpected(armed.error());
    while (true) {
        const auto rung = poller.wait(deadline);
        if (!rung)
            return std::unexpected(rung.error());
        if (rung->empty())
            return std::nullopt;
        for (const auto index : *rung) {
            const auto taken = consume(index);
            if (!taken)
                return std::unexpected(taken.error());
            if (*taken > 0)
                return WaitResult{index, *taken};
            if (const auto armed = poller.arm(index, all_[index]->fd());
                !armed) // Another was faster.
                return std::unexpected(armed.error());
        }
        if (has_expired(deadline))
            return std::nullopt;
    }
}

Expected<std::optional<WaitResult>> WaitSet::try_consume() const
{
    std::vector<pollfd> asked;
    for (const auto* one : all_)
        asked.push_back({one->fd(), POLLIN, 0});
    if (::poll(asked.data(), asked.size(), 0) <= 0)
        return std::nullopt;
    for (std::size_t i = 0; i < all_.size(); ++i) {
        if ((asked[i].revents & POLLIN) == 0)
            continue;
        const auto taken = consume(i);
        if (!taken)
            return std::unexpected(taken.error());
        if (*taken > 0)
            return WaitResult{i, *taken};
    }
    return std::nullopt;
}

// All.

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
        const auto emptied = consume_all();
        if (!emptied)
            return std::unexpected(emptied.error());
        if (!*emptied)
            return true;
        if (has_expired(deadline)) // Or others could keep us at it for ever.
            return false;
        which = {**emptied};
    }
}

// Waits until each of them has rung.
Expected<bool> WaitSet::await_each(AioPoller& poller, const std::vector<std::size_t>& which,
                                   Deadline deadline) const
{
    for (const auto index : which)
        if (const auto armed = poller.arm(index, all_[index]->fd()); !armed)
            return std::unexpected(armed.error());
    for (auto left = which.size(); left > 0;) {
        const auto rung = poller.wait(deadline);
        if (!rung)
            return std::unexpected(rung.error());
        if (rung->empty())
            return false;
        left -= rung->size();
    }
    return true;
}

// Takes from each that is to be taken from; if others were faster at one, from none: that one.
Expected<std::optional<std::size_t>> WaitSet::consume_all() const
{
    std::vector<WaitResult> taken;
    for (const auto kind :
         {Consumption::shared, Consumption::exclusive}) // Nobody else is at what is our own.
        for (std::size_t i = 0; i < all_.size(); ++i) {
            if (all_[i]->consumption() != kind)
                continue;
            const auto count = all_[i]->consume();
            const bool was_there = count && *count > 0;
            if (was_there && kind == Consumption::shared)
                taken.push_back({i, *count});
            if (was_there || (count && kind == Consumption::exclusive))
                continue;
            for (const auto& back : taken)
                if (const auto put = all_[back.index]->restore(back.count); !put)
                    return std::unexpected(put.error());
            if (!count)
                return std::unexpected(count.error());
            return i;
        }
    return std::nullopt;
}

} // namespace evfd
