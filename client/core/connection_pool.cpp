#include "client/core/connection_pool.h"

#include "common/eventfd.h"
#include "common/result.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace evfd {

namespace {

constexpr std::size_t max_idle_lines = 4;
// How long the thread waits between attempts to reach a daemon that is gone for long.
constexpr int slow_pause_ms = 1'000;

Error no_room_for_user()
{
    return {.code = ErrorCode::refused,
            .message = fmt::format("a client keeps what was opened and made as {} former users at "
                                   "most; close some of it, or use a client for each user",
                                   max_former_lines),
            .is_limit = true};
}

} // namespace

Daemon::Daemon(Address address, nanoseconds patience, nanoseconds asks_every)
    : address_{std::move(address)}, patience_{patience}, asks_every_{asks_every}
{
    main_.emplace(address_, patience_);
}

Daemon::~Daemon()
{
    if (generation_ != generation())
        leave_to_parent();
    if (!thread_.joinable())
        return;
    {
        const auto holding = lock();
        is_to_end_ = true;
    }
    (void)add(bell_, 1);
    thread_.join();
}

// Our thread may have held the mutex while the program forked: in the child nobody would let go of
// it. The first one there who comes makes all anew.
std::unique_lock<std::mutex> Daemon::lock()
{
    const auto ours = generation();
    auto owner = generation_.load();
    if (owner != ours && owner != -ours && generation_.compare_exchange_strong(owner, -ours)) {
        begin_anew();
        generation_ = ours;
    }
    while (generation_ != ours)
        std::this_thread::yield();
    return std::unique_lock{mutex_};
}

// The main line is one of that user from now on; the one before becomes a former one if something
// belongs to it. The daemon lets nobody take up another user's session.
Try<void> Daemon::be(const Credentials& who)
{
    std::erase_if(idle_, [&](const Line& line) { return !line.is_of(who); });
    if (main_->is_of(who))
        return {};
    const auto known =
        std::ranges::find_if(former_, [&](const Line& line) { return line.is_of(who); });
    Line next{address_, patience_, main_->was_connected()};
    const bool is_kept = !main_->belongings().is_empty();
    if (known != former_.end()) {
        next = std::move(*known);
        former_.erase(known);
    } else if (is_kept && former_.size() >= max_former_lines)
        return std::unexpected(no_room_for_user());
    if (is_kept)
        former_.push_back(*std::move(main_));
    else
        main_->end();
    main_.emplace(std::move(next));
    return {};
}

void Daemon::note(const protocol::CreateEvent& request, const protocol::CreateEvent::Reply& reply)
{
    if (request.lifetime == Lifetime::connection && reply.created)
        main_->belongings().add_object(request.name);
}

void Daemon::note(const protocol::Arm& request, const protocol::Arm::Reply& reply)
{
    if (request.lifetime == Lifetime::connection && reply.created)
        main_->belongings().add_object(request.name);
}

void Daemon::note(const protocol::Open& /*request*/, const protocol::Open::Reply& reply)
{
    for (const auto& one : reply.objects)
        if (one.subscription)
            main_->belongings().add_subscription(*one.subscription);
}

// A user may delete what belongs to the session of another one that it was.
void Daemon::note(const protocol::Delete& request, const protocol::Delete::Reply& /*reply*/)
{
    const auto take = [&](Line& line) {
        for (const auto& name : request.names.list)
            line.belongings().take_object(name);
    };
    take(*main_);
    std::ranges::for_each(former_, take);
    end_needless_lines();
}

void Daemon::note(const protocol::Unsubscribe& request,
                  const protocol::Unsubscribe::Reply& /*reply*/)
{
    main_->belongings().take_subscription(request.subscription);
    for (auto& line : former_)
        line.belongings().take_subscription(request.subscription);
    end_needless_lines();
}

// Former ones to which nothing belongs any more.
void Daemon::end_needless_lines()
{
    std::erase_if(former_, [](Line& line) {
        const bool is_needless = line.belongings().is_empty();
        if (is_needless)
            line.end();
        return is_needless;
    });
}

void Daemon::begin_anew()
{
    leave_to_parent();
    main_.emplace(address_, patience_);
}

// Of all this we have a memory only, which other threads may have been in the midst of when the
// program forked: nothing of it is given back. The connections are closed already (PrivateFd).
void Daemon::leave_to_parent() noexcept
{
    std::construct_at(&mutex_);
    std::construct_at(&main_);
    std::construct_at(&idle_);
    std::construct_at(&former_);
    std::construct_at(&watched_);
    std::construct_at(&thread_); // It is not here to be joined or detached.
    bell_ = {};
    has_nothing_ = false;
    is_to_end_ = false;
}

// Waiting.

Try<std::vector<protocol::Fired>> Daemon::wait(protocol::Wait request, Deadline deadline)
{
    auto line = spare();
    if (!line)
        return std::unexpected(std::move(line.error()));
    auto reply = wait_on(*line, std::move(request), deadline);
    give_back(*std::move(line));
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->fired);
}

Try<std::vector<protocol::Fired>> Daemon::checked(const protocol::Wait& request,
                                                  std::vector<protocol::Fired> fired)
{
    const auto was_asked_for = [&](const protocol::Fired& one) {
        return std::ranges::find(request.names.list, one.name) != request.names.list.end();
    };
    if (fired.empty() || !std::ranges::all_of(fired, was_asked_for))
        return std::unexpected(Channel::garbled("it is not about what was waited for"));
    return fired;
}

// On a line of its own until it is over, for the main one has to ask for the sign of life.
Try<std::string> Daemon::hold(protocol::Wait request, Holder holder, Deadline deadline)
{
    request.hold = true;
    request.holder = holder;
    auto line = spare();
    if (!line)
        return std::unexpected(std::move(line.error()));
    auto reply = wait_on(*line, std::move(request), deadline);
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    {
        const auto holding = lock();
        main_.emplace(*std::move(line));
        if (holder == Holder::session)
            main_->belongings().keep_for_good();
    }
    if (holder == Holder::session)
        look_after();
    if (!reply->hold)
        return std::unexpected(Channel::garbled("it does not say what it calls the hold"));
    return *std::move(reply->hold);
}

Try<void> Daemon::finish()
{
    const auto holding = lock();
    return main_->finish();
}

Try<protocol::Wait::Reply> Daemon::wait_on(Line& line, protocol::Wait request, Deadline deadline)
{
    const auto with_time_left = [&] {
        if (deadline)
            request.timeout = left_until(*deadline);
        return request;
    };
    auto reply = line.call_sending<protocol::Wait>(with_time_left, [&](Channel& channel) {
        return receive_late<protocol::Wait>(channel, deadline);
    });
    if (!reply)
        return reply;
    auto fired = checked(request, std::move(reply->fired));
    if (!fired)
        return std::unexpected(std::move(fired.error()));
    reply->fired = *std::move(fired);
    return reply;
}

Try<void> Daemon::clear(const protocol::Clear& request)
{
    auto line = spare();
    if (!line)
        return std::unexpected(std::move(line.error()));
    const auto cleared = line->call_sending<protocol::Clear>(
        [&] { return request; },
        [&](Channel& channel) { return receive_late<protocol::Clear>(channel, {}); });
    give_back(*std::move(line));
    return cleared ? Try<void>{} : std::unexpected(cleared.error());
}

template <Message Request>
Try<typename Request::Reply> Daemon::receive_late(Channel& channel, Deadline deadline)
{
    if (const auto there = await_answer(channel, deadline); !there)
        return std::unexpected(there.error());
    return Line::receive<Request>(channel, monotonic_after(patience_));
}

// The daemon answers when the time is over, if not before; a stuck one is found out all the same.
Try<void> Daemon::await_answer(Channel& channel, Deadline deadline)
{
    while (true) {
        const auto look = deadline ? later(*deadline, patience_) : monotonic_after(asks_every_);
        const auto has_news = channel.has_news_by(look);
        if (!has_news)
            return std::unexpected(has_news.error());
        if (*has_news || deadline)
            return {};
        if (auto alive = call(protocol::GetInfo{}); !alive) // The answer may still come.
            return channel.give_up(std::move(alive.error()));
    }
}

// Further lines.

Try<Line> Daemon::spare()
{
    const auto holding = lock();
    if (const auto is_theirs = be(Credentials::now()); !is_theirs)
        return std::unexpected(is_theirs.error());
    Line line{address_, patience_, main_->was_connected()};
    if (!idle_.empty()) {
        line = std::move(idle_.back());
        idle_.pop_back();
    }
    return line;
}

Try<Line> Daemon::borrow()
{
    auto line = spare();
    if (!line)
        return line;
    if (const auto connected = line->connect(); !connected)
        return std::unexpected(connected.error());
    return line;
}

void Daemon::give_back(Line line)
{
    const auto holding = lock();
    if (line.is_connected() && idle_.size() < max_idle_lines)
        idle_.push_back(std::move(line));
}

// Looking after the main line.

void Daemon::look_after()
{
    const auto holding = lock();
    if (thread_.joinable()) {
        if (std::exchange(has_nothing_, false))
            (void)add(bell_, 1);
        return;
    }
    auto bell = make_eventfd(0, Counter::plain);
    if (!bell)
        return; // Then it is taken up with the next call.
    bell_ = *std::move(bell);
    // Signals are for the threads of whoever uses us.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread{[this] { look_after_main(); }};
    } catch (const std::system_error&) { // There is none to be had: likewise.
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The number of what is readable when the daemon is gone, and how long to wait before the next
// look; nothing, if it is over.
std::optional<Daemon::Watch> Daemon::look_at_main(MonotonicTime& hurry_until)
{
    constexpr int for_ever = -1;
    const std::lock_guard holding{mutex_};
    if (is_to_end_)
        return std::nullopt;
    const bool is_up = main_->take_up_if_lost();
    has_nothing_ = !main_->has_session();
    watched_ = {};
    if (is_up && main_->is_connected()) {
        // The line may be connected anew meanwhile, and its number be another's.
        watched_ = Unforked{}.keep(UniqueFd{::fcntl(main_->channel().fd(), F_DUPFD_CLOEXEC, 0)});
        hurry_until = monotonic_after(patience_);
    }
    if (watched_ || has_nothing_)
        return Watch{watched_.get(), for_ever};
    return Watch{-1, monotonic_now() < hurry_until ? address_.pause_ms() : slow_pause_ms};
}

void Daemon::look_after_main()
{
    MonotonicTime hurry_until{};
    while (true) {
        std::optional<Watch> watch = Watch{-1, slow_pause_ms};
        try {
            watch = look_at_main(hurry_until);
        } catch (const std::exception&) { // For want of memory: there may be some later.
        }
        if (!watch)
            return;
        std::array<pollfd, 2> wanted{pollfd{bell_.get(), POLLIN, 0},
                                     pollfd{watch->line, 0, 0}}; // POLLHUP comes.
        ::poll(wanted.data(), wanted.size(), watch->pause_ms);
        if ((wanted[0].revents & POLLIN) != 0)
            (void)take(bell_);
    }
}

} // namespace evfd
