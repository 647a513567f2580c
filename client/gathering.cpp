#include "client/gathering.h"

#include "client/daemon.h"
#include "common/eventfd.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace evfd {

Try<bool> Gathering::is_for_daemon() const
{
    if (events_.empty() || events_.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid, fmt::format("wait for 1 to {} events", max_names_per_call)});
    for (const auto* event : events_)
        if (!event->access_.wait)
            return std::unexpected(event->not_permitted(Right::wait));

    const bool is_for_daemon = std::ranges::any_of(events_, &Event::takes_through_daemon);
    const auto pulse = std::ranges::find(events_, Mode::pulse, &Event::mode_);
    if (is_for_daemon && pulse != events_.end())
        return std::unexpected(
            Error{ErrorCode::invalid,
                  fmt::format("the pulse '{}' cannot be waited for together with an event that you "
                              "may only take from through the daemon; wait for each in a thread",
                              (*pulse)->name().text())});
    return is_for_daemon;
}

Try<std::vector<Woken>> Gathering::wait_through_daemon(Gather gather, Deadline deadline) const
{
    protocol::Wait request{.names = {}, .gather = gather};
    for (const auto* event : events_)
        request.names.list.push_back(event->name_);
    const auto fired = events_.front()->daemon_->wait(std::move(request), deadline);
    if (!fired && fired.error().code == ErrorCode::timed_out)
        return std::vector<Woken>{};
    if (!fired)
        return std::unexpected(fired.error());
    std::vector<Woken> woken;
    for (const auto& one : *fired) {
        const auto event = std::ranges::find(events_, one.name, &Event::name_);
        woken.push_back({static_cast<std::size_t>(event - events_.begin()), one.count});
    }
    return woken;
}

Try<std::optional<Woken>> Gathering::wait_any(Deadline deadline) const
{
    const auto is_remote = is_for_daemon();
    if (!is_remote)
        return std::unexpected(is_remote.error());
    if (*is_remote) {
        const auto woken = wait_through_daemon(Gather::any, deadline);
        if (!woken)
            return std::unexpected(woken.error());
        return woken->empty() ? std::nullopt : std::optional{woken->front()};
    }

    Poller poller{events_.size()};
    for (std::size_t i = 0; i < events_.size(); ++i)
        if (const auto armed = poller.arm(i, events_[i]->fd()); !armed)
            return std::unexpected(armed.error());
    while (true) {
        const auto rung = poller.next(deadline);
        if (!rung)
            return std::unexpected(rung.error());
        if (rung->empty())
            return std::nullopt;
        for (const auto index : *rung) {
            const auto& event = *events_[index];
            const auto taken = event.mode_ == Mode::manual ? Try<std::int64_t>{1} : event.take();
            if (!taken)
                return std::unexpected(taken.error());
            if (*taken > 0)
                return Woken{index, *taken};
            if (const auto armed = poller.arm(index, event.fd()); !armed) // Another was faster.
                return std::unexpected(armed.error());
        }
    }
}

Try<bool> Gathering::wait_all(Deadline deadline) const
{
    const auto is_remote = is_for_daemon();
    if (!is_remote)
        return std::unexpected(is_remote.error());
    if (*is_remote) {
        const auto woken = wait_through_daemon(Gather::all, deadline);
        if (!woken)
            return std::unexpected(woken.error());
        return !woken->empty();
    }

    Poller poller{events_.size()};
    std::vector<std::size_t> missing(events_.size());
    std::iota(missing.begin(), missing.end(), std::size_t{0});
    while (true) {
        for (const auto index : missing)
            if (const auto armed = poller.arm(index, events_[index]->fd()); !armed)
                return std::unexpected(armed.error());
        for (auto left = missing.size(); left > 0;) {
            const auto rung = poller.next(deadline);
            if (!rung)
                return std::unexpected(rung.error());
            if (rung->empty())
                return false;
            left -= rung->size();
        }
        auto emptied = take_all();
        if (!emptied)
            return std::unexpected(emptied.error());
        if (!*emptied)
            return true;
        missing = {**emptied};
    }
}

// Takes from each that is to be taken from; if others were faster at one, from none: that one.
Try<std::optional<std::size_t>> Gathering::take_all() const
{
    std::vector<Woken> taken;
    for (std::size_t i = 0; i < events_.size(); ++i) {
        if (events_[i]->mode_ == Mode::manual)
            continue;
        const auto count = events_[i]->take();
        if (count && *count > 0) {
            taken.push_back({i, *count});
            continue;
        }
        for (const auto& back : taken)
            if (const auto put =
                    add(events_[back.index]->fd_, static_cast<std::uint64_t>(back.count));
                !put)
                return std::unexpected(Error{ErrorCode::system, put.error().message()});
        if (!count)
            return std::unexpected(count.error());
        return i;
    }
    return std::nullopt;
}

} // namespace evfd
