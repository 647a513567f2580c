#include "client/gathering.h"

#include "client/daemon.h"
#include "client/pending_wait.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace evfd {

namespace {

bool is_over(Deadline deadline)
{
    return deadline && monotonic_now() >= *deadline;
}

} // namespace

// Where nothing has to be taken through the daemon, or nothing is our own, all is in one place.
// Otherwise the daemon takes all that is shared: it can do so from all at once or from none.
Try<Gathering::Places> Gathering::places() const
{
    if (all_.empty() || all_.size() > max_names_per_call)
        return std::unexpected(
            Error{ErrorCode::invalid,
                  fmt::format("wait for 1 to {} events and timers", max_names_per_call)});
    if (has_twins())
        return std::unexpected(Error{ErrorCode::invalid, "wait for each event and timer once"});
    bool needs_daemon = false;
    bool has_own = false;
    for (const auto* one : all_) {
        if (!one->access_.wait)
            return std::unexpected(one->not_permitted(Right::wait));
        needs_daemon |= one->taking() == Taking::shared && !one->access_.set;
        has_own |= one->taking() == Taking::own;
    }
    Places places;
    for (std::size_t i = 0; i < all_.size(); ++i) {
        const bool is_for_daemon =
            needs_daemon && (!has_own || all_[i]->taking() == Taking::shared);
        (is_for_daemon ? places.daemon : places.here).push_back(i);
    }
    for (const auto index : places.daemon)
        if (path_of(index) != path_of(places.daemon.front()))
            return std::unexpected(Error{ErrorCode::invalid,
                                         "what only the daemon may take from for you must be of "
                                         "one daemon; wait for each by itself"});
    return places;
}

// By which daemons are told apart: one may be known by several connections.
std::string_view Gathering::path_of(std::size_t index) const
{
    const auto& daemon = all_[index]->daemon_;
    return daemon ? std::string_view{daemon->address().path} : "";
}

// A token that is there once could not be taken for both.
bool Gathering::has_twins() const
{
    std::vector<std::pair<std::string_view, std::string_view>> known;
    for (std::size_t i = 0; i < all_.size(); ++i)
        known.emplace_back(path_of(i), all_[i]->name_.text());
    std::ranges::sort(known);
    return std::ranges::adjacent_find(known) != known.end();
}

Try<std::int64_t> Gathering::take(std::size_t index) const
{
    return all_[index]->taking() == Taking::nothing ? Try<std::int64_t>{1} : all_[index]->take();
}

// Through the daemon.

protocol::Wait Gathering::request(const std::vector<std::size_t>& which, Gather gather) const
{
    protocol::Wait request{.names = {}, .gather = gather};
    for (const auto index : which)
        request.names.list.push_back(all_[index]->name_);
    return request;
}

// Each is one of `which`: Daemon::checked() has seen to that.
std::vector<Woken> Gathering::woken(const std::vector<protocol::Fired>& fired,
                                    const std::vector<std::size_t>& which) const
{
    const auto name_of = [&](std::size_t index) -> const Name& { return all_[index]->name_; };
    std::vector<Woken> woken;
    for (const auto& one : fired)
        woken.push_back({*std::ranges::find(which, one.name, name_of), one.count});
    return woken;
}

Try<std::vector<Woken>> Gathering::wait_through_daemon(const std::vector<std::size_t>& which,
                                                       Gather gather, Deadline deadline) const
{
    const auto fired = all_[which.front()]->daemon_->wait(request(which, gather), deadline);
    if (!fired && fired.error().code == ErrorCode::timed_out)
        return std::vector<Woken>{};
    if (!fired)
        return std::unexpected(fired.error());
    return woken(*fired, which);
}

// Any.

Try<std::optional<Woken>> Gathering::wait_any(Deadline deadline) const
{
    const auto where = places();
    if (!where)
        return std::unexpected(where.error());
    if (where->daemon.empty())
        return wait_any_here(deadline);
    if (!where->here.empty())
        return wait_any_in_both(*where, deadline);
    const auto woken = wait_through_daemon(where->daemon, Gather::any, deadline);
    if (!woken)
        return std::unexpected(woken.error());
    return woken->empty() ? std::nullopt : std::optional{woken->front()};
}

// What is there is taken without getting ready for sleep.
Try<std::optional<Woken>> Gathering::look_here() const
{
    std::vector<pollfd> asked;
    for (const auto* one : all_)
        asked.push_back({one->fd(), POLLIN, 0});
    if (::poll(asked.data(), asked.size(), 0) <= 0)
        return std::nullopt;
    for (std::size_t i = 0; i < all_.size(); ++i) {
        if ((asked[i].revents & POLLIN) == 0)
            continue;
        const auto taken = take(i);
        if (!taken)
            return std::unexpected(taken.error());
        if (*taken > 0)
            return Woken{i, *taken};
    }
    return std::nullopt;
}

Try<std::optional<Woken>> Gathering::wait_any_here(Deadline deadline) const
{
    auto there = look_here();
    if (!there || *there || is_over(deadline))
        return there;
    Poller poller{all_.size()};
    for (std::size_t i = 0; i < all_.size(); ++i)
        if (const auto armed = poller.arm(i, all_[i]->fd()); !armed)
            return std::unexpected(armed.error());
    while (true) {
        const auto rung = poller.next(deadline);
        if (!rung)
            return std::unexpected(rung.error());
        if (rung->empty())
            return std::nullopt;
        for (const auto index : *rung) {
            const auto taken = take(index);
            if (!taken)
                return std::unexpected(taken.error());
            if (*taken > 0)
                return Woken{index, *taken};
            if (const auto armed = poller.arm(index, all_[index]->fd());
                !armed) // Another was faster.
                return std::unexpected(armed.error());
        }
        if (is_over(deadline))
            return std::nullopt;
    }
}

// The places that rang, in the order of `places.here`; behind them the daemon's answer.
Try<std::vector<std::size_t>> Gathering::ring_in_both(Poller& poller, const Places& places,
                                                      int answer, Deadline deadline) const
{
    for (std::size_t i = 0; i < places.here.size(); ++i)
        if (const auto armed = poller.arm(i, all_[places.here[i]]->fd()); !armed)
            return std::unexpected(armed.error());
    if (const auto armed = poller.arm(places.here.size(), answer); !armed)
        return std::unexpected(armed.error());
    return poller.next(deadline);
}

Try<std::optional<Woken>> Gathering::wait_any_in_both(const Places& places, Deadline deadline) const
{
    std::optional<PendingWait> pending;
    while (true) {
        if (!pending) {
            auto begun = PendingWait::begin(*all_[places.daemon.front()]->daemon_,
                                            request(places.daemon, Gather::any), deadline);
            if (!begun)
                return std::unexpected(begun.error());
            pending.emplace(*std::move(begun));
        }
        Poller poller{places.here.size() + 1}; // And the daemon's answer.
        const auto rung = ring_in_both(poller, places, pending->fd(), deadline);
        if (!rung) {
            if (const auto fired = pending->call_off()) // What was taken is told.
                return woken(*fired, places.daemon).front();
            return std::unexpected(rung.error());
        }
        const bool is_here =
            std::ranges::any_of(*rung, [&](std::size_t slot) { return slot < places.here.size(); });
        if (!is_here) { // It answered, or does so now because the time is over.
            const auto fired = pending->finish();
            if (fired)
                return woken(*fired, places.daemon).front();
            if (fired.error().code == ErrorCode::timed_out)
                return std::nullopt;
            if (fired.error().code != ErrorCode::interrupted)
                return std::unexpected(fired.error());
            if (const auto asked = pending->ask_again(); !asked)
                return std::unexpected(asked.error());
            continue;
        }
        if (const auto fired = pending->call_off()) // What is here stays for the next wait.
            return woken(*fired, places.daemon).front();
        pending.reset();
        for (const auto slot : *rung) {
            if (slot == places.here.size())
                continue;
            const auto taken = take(places.here[slot]);
            if (!taken)
                return std::unexpected(taken.error());
            if (*taken > 0)
                return Woken{places.here[slot], *taken};
        }
    }
}

// All.

Try<bool> Gathering::wait_all(Deadline deadline) const
{
    const auto where = places();
    if (!where)
        return std::unexpected(where.error());
    if (where->daemon.empty())
        return wait_all_here(where->here, deadline);

    // What is here stays, once it is there, until the rest is there as well.
    Poller poller{all_.size()};
    const auto latched = latch(poller, where->here, deadline);
    if (!latched || !*latched)
        return latched;
    const auto woken = wait_through_daemon(where->daemon, Gather::all, deadline);
    if (!woken || woken->empty())
        return woken ? Try<bool>{false} : std::unexpected(woken.error());
    for (const auto index : where->here)
        if (const auto taken = take(index); !taken)
            return std::unexpected(taken.error());
    return true;
}

// Waits until each of them has rung.
Try<bool> Gathering::latch(Poller& poller, const std::vector<std::size_t>& which,
                           Deadline deadline) const
{
    for (const auto index : which)
        if (const auto armed = poller.arm(index, all_[index]->fd()); !armed)
            return std::unexpected(armed.error());
    for (auto left = which.size(); left > 0;) {
        const auto rung = poller.next(deadline);
        if (!rung)
            return std::unexpected(rung.error());
        if (rung->empty())
            return false;
        left -= rung->size();
    }
    return true;
}

Try<bool> Gathering::wait_all_here(std::vector<std::size_t> which, Deadline deadline) const
{
    Poller poller{all_.size()};
    while (true) {
        const auto latched = latch(poller, which, deadline);
        if (!latched || !*latched)
            return latched;
        const auto emptied = take_all();
        if (!emptied)
            return std::unexpected(emptied.error());
        if (!*emptied)
            return true;
        if (is_over(deadline)) // Or others could keep us at it for ever.
            return false;
        which = {**emptied};
    }
}

// Takes from each that is to be taken from; if others were faster at one, from none: that one.
Try<std::optional<std::size_t>> Gathering::take_all() const
{
    std::vector<Woken> taken;
    for (const auto kind : {Taking::shared, Taking::own}) // Nobody else is at what is our own.
        for (std::size_t i = 0; i < all_.size(); ++i) {
            if (all_[i]->taking() != kind)
                continue;
            const auto count = all_[i]->take();
            const bool was_there = count && *count > 0;
            if (was_there && kind == Taking::shared)
                taken.push_back({i, *count});
            if (was_there || (count && kind == Taking::own))
                continue;
            for (const auto& back : taken)
                if (const auto put = all_[back.index]->put_back(back.count); !put)
                    return std::unexpected(put.error());
            if (!count)
                return std::unexpected(count.error());
            return i;
        }
    return std::nullopt;
}

} // namespace evfd
