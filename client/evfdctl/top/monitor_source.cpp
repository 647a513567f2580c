#include "client/evfdctl/top/monitor_source.h"

#include "common/eventfd.h"
#include "common/result.h"
#include "evfd/client.h"

#include <signal.h>

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

namespace evfd::top {

namespace {

using namespace std::chrono_literals;

constexpr int replies_at_a_time = 512;
// The times between two attempts to connect. local_pause is short, because a restart of the daemon
// takes little time. remote_pause is longer, because a network failure can last longer.
constexpr nanoseconds local_pause = 250ms;
constexpr nanoseconds remote_pause = 3s;

} // namespace

MonitorSource::Attempt::Attempt(const Address& address, const std::string& pattern)
    : shared_{std::make_shared<Shared>()}
{
    auto done_fd = make_eventfd(0, Counter::plain);
    if (!done_fd) {
        shared_->result = std::unexpected(Error{ErrorCode::system, done_fd.error().message()});
        return;
    }
    shared_->done = *std::move(done_fd);
    // Blocks all signals in the new thread, so that the kernel delivers signals to the thread that
    // draws.
    sigset_t all;
    sigset_t previous;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    try {
        std::thread{[shared = shared_, address, pattern] {
            auto monitor = Client{address}.changes_with_waiters(pattern);
            const std::lock_guard locked{shared->mutex};
            shared->result = std::move(monitor);
            (void)add(shared->done, 1);
        }}.detach();
    } catch (const std::system_error& failed) {
        shared_->result = std::unexpected(Error{ErrorCode::system, failed.what()});
    }
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

std::optional<Expected<Monitor>> MonitorSource::Attempt::result() const
{
    const std::lock_guard locked{shared_->mutex};
    return std::exchange(shared_->result, std::nullopt);
}

int MonitorSource::fd() const
{
    return monitor_ ? monitor_->fd() : attempt_ ? attempt_->fd() : -1;
}

std::optional<MonotonicTime> MonitorSource::next_timeout() const
{
    if (monitor_)
        return may_have_more_ ? std::optional{MonotonicTime{}} : std::nullopt;
    if (attempt_)
        return {};
    return next_attempt_;
}

nanoseconds MonitorSource::retry_interval() const
{
    return address_.remote ? remote_pause : local_pause;
}

void MonitorSource::handle_lost_connection(View& view, const Error& why, MonotonicTime next)
{
    monitor_.reset();
    attempt_.reset();
    next_attempt_ = next;
    view.set_error("gone: " + why.message);
}

bool MonitorSource::read_into(View& view, const Now& now)
{
    if (!monitor_ && !attempt_) {
        if (now.monotonic < next_attempt_)
            return false;
        attempt_.emplace(address_, pattern_);
    }
    if (attempt_) {
        auto result = attempt_->result();
        if (!result)
            return false;
        if (!*result) {
            handle_lost_connection(view, result->error(),
                                   add_saturating(now.monotonic, retry_interval()));
            return true;
        }
        attempt_.reset();
        monitor_.emplace(**std::move(result));
        view.table().restart();
    }
    may_have_more_ = false;
    for (int i = 0; i < replies_at_a_time; ++i) {
        auto event = monitor_->next();
        if (!event) {
            handle_lost_connection(view, event.error(), now.monotonic);
            return true;
        }
        if (!*event)
            return i > 0;
        view.table().apply(**event, now);
        if ((*event)->change == Change::ready)
            view.set_error({});
    }
    may_have_more_ = true;
    return true;
}

} // namespace evfd::top
