// The objects as they are from moment to moment, on a terminal: top.
#include "client/core/monitor.h"
#include "client/evfdctl/run/child.h"
#include "client/evfdctl/output/failure.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/terminal.h"
#include "client/evfdctl/output/stderr_capture.h"
#include "client/evfdctl/top/monitor_source.h"
#include "client/evfdctl/top/view.h"
#include "client/evfdctl/verb.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace evfd::control {

namespace {

using namespace std::chrono_literals;
using namespace top;

// However much happens: nobody reads faster.
constexpr nanoseconds between_pictures = 50ms;
constexpr nanoseconds between_ticks = 1s;

// SIGWINCH, as a descriptor that is readable when the terminal has another size.
class Resizes {
public:
    static Try<Resizes> hold()
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
        if (!fd)
            return std::unexpected(failed("signalfd(2)"));
        return Resizes{std::move(fd)};
    }
    int fd() const { return fd_.get(); }
    void take() const
    {
        signalfd_siginfo came{};
        while (::read(fd_.get(), &came, sizeof came) > 0) {
        }
    }

private:
    explicit Resizes(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

// The screen, and all that may change it.
class Display {
public:
    Display(Screen& screen, View& view, Feed& feed, const StopSignals& signals,
            const Resizes& resizes, std::optional<StderrAside>& said)
        : screen_{screen}, view_{view}, feed_{feed}, signals_{signals}, resizes_{resizes},
          said_{said}
    {
        view_.resize(screen_.size());
    }

    // Until somebody leaves it, or the signal that ends it.
    std::optional<int> run()
    {
        while (true) {
            draw_if_due();
            std::array<pollfd, 5> wanted{{{signals_.fd().get(), POLLIN, 0},
                                          {resizes_.fd(), POLLIN, 0},
                                          {STDIN_FILENO, POLLIN, 0},
                                          {feed_.fd(), POLLIN, 0},
                                          {said_ ? said_->fd() : -1, POLLIN, 0}}};
            wait(wanted);
            const auto& [stop, resize, keys, feed, said] = wanted;
            if (stop.revents != 0)
                if (const auto signal = signals_.take())
                    return signal->number;
            if (resize.revents != 0)
                fit();
            if (keys.revents != 0 && hear_keys(keys.revents) == View::Next::leave)
                return {};
            if (said.revents != 0)
                hear_what_is_said();
            if (feed_.take(view_, Now::read()))
                is_dirty_ = true;
        }
    }

private:
    void draw_if_due()
    {
        const auto now = Now::read();
        if (tick_ && now.monotonic >= *tick_)
            is_dirty_ = true;
        if (!is_dirty_ || now.monotonic < next_picture_)
            return;
        screen_.show(view_.picture(now));
        is_dirty_ = false;
        next_picture_ = later(now.monotonic, between_pictures);
        tick_ = view_.changes_by_itself(now);
        if (tick_)
            tick_ = std::max(*tick_, later(now.monotonic, between_ticks));
    }

    // For ever, if nothing changes by itself.
    void wait(std::array<pollfd, 5>& wanted) const
    {
        auto until = feed_.alarm();
        const auto or_sooner = [&](const std::optional<MonotonicTime>& moment) {
            if (moment)
                until = until ? std::min(*until, *moment) : *moment;
        };
        or_sooner(tick_);
        if (is_dirty_)
            or_sooner(next_picture_);
        const auto left = to_timespec(until ? left_until(*until) : nanoseconds{0});
        if (::ppoll(wanted.data(), wanted.size(), until ? &left : nullptr, nullptr) < 0)
            for (auto& one : wanted)
                one.revents = 0;
    }

    void fit()
    {
        resizes_.take();
        screen_.resize();
        view_.resize(screen_.size());
        is_dirty_ = true;
    }

    // A terminal that is gone has nobody in front of it.
    View::Next hear_keys(short events)
    {
        bool was_any = false;
        while (const auto pressed = screen_.key()) {
            was_any = true;
            if (view_.press(*pressed, Now::read()) == View::Next::leave)
                return View::Next::leave;
        }
        is_dirty_ = true;
        const bool is_gone = (events & (POLLHUP | POLLERR | POLLNVAL)) != 0;
        return is_gone && !was_any ? View::Next::leave : View::Next::keep;
    }

    void hear_what_is_said()
    {
        if (const auto line = said_->last_line())
            view_.set_said(*line);
        is_dirty_ = true;
    }

    Screen& screen_;
    View& view_;
    Feed& feed_;
    const StopSignals& signals_;
    const Resizes& resizes_;
    std::optional<StderrAside>& said_;
    bool is_dirty_ = true;
    MonotonicTime next_picture_{};
    std::optional<MonotonicTime> tick_;
};

class Top : public Verb {
public:
    static constexpr auto name = "top";
    static constexpr auto help = "Show all objects on the terminal, from moment to moment";

    explicit Top(CLI::App& app) : Verb{app}, pattern_{app}, colour_{app}
    {
        std::vector<std::string> names;
        for (const auto& [column, text] : top::columns)
            names.emplace_back(text);
        app.add_option("--sort", sort_, "By which column at first; name if not given")
            ->type_name("COLUMN")
            ->check(CLI::IsMember(names));
    }

    // The daemon is reached before the screen is ours: ssh may have to ask.
    Exit run(const Client& client) override
    {
        if (is_json())
            return complain(usage("top is to be looked at; for JSON there is monitor --json"));
        if (const auto possible = Screen::check(); !possible)
            return complain(possible.error());
        const auto& address = client.address();
        View view{address.remote ? address.remote->host : address.path, {.column = column()}};
        std::optional<StderrAside> said; // From the first ssh on, which stays.
        if (address.remote)
            if (auto aside = StderrAside::begin())
                said.emplace(*std::move(aside));
        const auto give_up = [&](const Error& error) { // Where it is seen.
            const auto words = said ? said->take() : "";
            said.reset();
            say(words);
            return complain(error);
        };
        auto news = begin(client, view);
        if (!news)
            return give_up(news.error());
        Feed feed{address, pattern_.text, *std::move(news)};

        const auto signals = StopSignals::hold();
        if (!signals)
            return give_up(signals.error());
        const auto resizes = Resizes::hold();
        if (!resizes)
            return give_up(resizes.error());
        const auto ended_by = show(view, feed, *signals, *resizes, said);
        if (!ended_by)
            return give_up(ended_by.error());
        if (*ended_by)
            StopSignals::die_of(**ended_by);
        return exit_done;
    }

private:
    Column column() const
    {
        for (const auto& [column, text] : top::columns)
            if (text == sort_)
                return column;
        return Column::name;
    }

    // With all that there is at first.
    Try<News> begin(const Client& client, View& view) const
    {
        auto news = client.news(pattern_.text);
        while (news && !view.table().is_complete()) {
            const auto next = news->next();
            if (!next)
                return std::unexpected(next.error());
            if (*next) {
                view.table().hear(**next, Now::read());
                continue;
            }
            pollfd wanted{news->fd(), POLLIN, 0};
            ::poll(&wanted, 1, -1);
        }
        view.set_trouble({});
        return news;
    }

    // The signal that ended it, if one did. The terminal is as it was when this returns.
    Try<std::optional<int>> show(View& view, Feed& feed, const StopSignals& signals,
                                 const Resizes& resizes, std::optional<StderrAside>& said) const
    {
        auto screen = Screen::open(colour_.chosen());
        if (!screen)
            return std::unexpected(screen.error());
        return Display{*screen, view, feed, signals, resizes, said}.run();
    }

    PatternOption pattern_;
    ColourOption colour_;
    std::string sort_;
};

} // namespace

void add_top(Verbs& verbs)
{
    verbs.add<Top>();
}

} // namespace evfd::control
