#include "client/evfdctl/top/monitor_source.h"

#include "evfd/client.h"
#include "common/eventfd.h"
#include "common/result.h"

#include <signal.h>

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

namespace evfd::top {

namespace {

using namespace std::chrono_literals;

constexpr int replies_at_a_time = 512;
// Between attempts: a daemon that is being restarted is back soon; a network may not be.
constexpr nanoseconds local_pause = 250ms;
constexpr nanoseconds remote_pause = 3s;

} // namespace

Feed::Attempt::Attempt(const Address& address, const std::string& pattern)
    : shared_{std::make_shared<Shared>()}
{
    auto over = make_eventfd(0, Counter::plain);
    if (!over) {
        shared_->result = std::unexpected(Error{ErrorCode::system, over.error().message()});
        return;
    }
    shared_->over = *std::move(over);
    // Signals are for the thread that shows.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        std::thread{[shared = shared_, address, pattern] {
            auto news = Client{address}.news(pattern);
            const std::lock_guard holding{shared->mutex};
            shared->result = std::move(news);
            (void)add(shared->over, 1);
        }}.detach();
    } catch (const std::system_error& failed) {
        shared_->result = std::unexpected(Error{ErrorCode::system, failed.what()});
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

std::optional<Try<News>> Feed::Attempt::result() const
{
    const std::lock_guard holding{shared_->mutex};
    return std::exchange(shared_->result, std::nullopt);
}

int Feed::fd() const
{
    return news_ ? news_->fd() : attempt_ ? attempt_->fd() : -1;
}

std::optional<MonotonicTime> Feed::alarm() const
{
    if (news_)
        return has_more_ ? std::optional{MonotonicTime{}} : std::nullopt;
    if (attempt_)
        return {};
    return next_attempt_;
}

nanoseconds Feed::pause() const
{
    return address_.remote ? remote_pause : local_pause;
}

void Feed::lose(View& view, const Error& why, MonotonicTime next)
{
    news_.reset();
    attempt_.reset();
    next_attempt_ = next;
    view.set_trouble("gone: " + why.message);
}

bool Feed::take(View& view, const Now& now)
{
    if (!news_ && !attempt_) {
        if (now.monotonic < next_attempt_)
            return false;
        attempt_.emplace(address_, pattern_);
    }
    if (attempt_) {
        auto result = attempt_->result();
        if (!result)
            return false;
        if (!*result) {
            lose(view, result->error(), later(now.monotonic, pause()));
            return true;
        }
        attempt_.reset();
        news_.emplace(**std::move(result));
        view.table().begin();
    }
    has_more_ = false;
    for (int i = 0; i < replies_at_a_time; ++i) {
        auto news = news_->next();
        if (!news) {
            lose(view, news.error(), now.monotonic);
            return true;
        }
        if (!*news)
            return i > 0;
        view.table().hear(**news, now);
        if ((*news)->change == Change::ready)
            view.set_trouble({});
    }
    has_more_ = true;
    return true;
}

} // namespace evfd::top
