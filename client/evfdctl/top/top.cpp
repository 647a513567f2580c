// The objects as they are from moment to moment, on a terminal: top.
#include "client/core/monitor.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/output/failure.h"
#include "client/evfdctl/output/stderr_capture.h"
#include "client/evfdctl/output/terminal.h"
#include "client/evfdctl/run/child.h"
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
constexpr nanoseconds min_frame_interval = 50ms;
constexpr nanoseconds min_tick_interval = 1s;

// SIGWINCH, as a descriptor that is readable when the terminal has another size.
class ResizeSignal {
public:
    static Expected<ResizeSignal> block()
    {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        UniqueFd fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
        if (!fd)
            return std::unexpected(system_call_error("signalfd(2)"));
        return ResizeSignal{std::move(fd)};
    }
    int fd() const { return fd_.get(); }
    void drain() const
    {
        signalfd_siginfo came{};
        while (::read(fd_.get(), &came, sizeof came) > 0) {
        }
    }

private:
    explicit ResizeSignal(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

// The screen, and all that may change it.
class Display {
public:
    Display(Screen& screen, View& view, MonitorSource& feed, const TerminationSignals& signals,
            const ResizeSignal& resizes, std::optional<StderrCapture>& said)
        : screen_{screen}, view_{view}, source_{feed}, signals_{signals}, resizes_{resizes},
          stderr_{said}
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
                                          {source_.fd(), POLLIN, 0},
                                          {stderr_ ? stderr_->fd() : -1, POLLIN, 0}}};
            wait(wanted);
            const auto& [stop, resize, keys, feed, said] = wanted;
            if (stop.revents != 0)
                if (const auto signal = signals_.take_next())
                    return signal->number;
            if (resize.revents != 0)
                handle_resize();
            if (keys.revents != 0 && handle_keys(keys.revents) == View::Next::quit)
                return {};
            if (said.revents != 0)
                read_remote_messages();
            if (source_.read_into(view_, Now::read()))
                is_dirty_ = true;
        }
    }

private:
    void draw_if_due()
    {
        const auto now = Now::read();
        if (next_change_ && now.monotonic >= *next_change_)
            is_dirty_ = true;
        if (!is_dirty_ || now.monotonic < next_frame_)
            return;
        screen_.show(view_.render(now));
        is_dirty_ = false;
        next_frame_ = add_saturating(now.monotonic, min_frame_interval);
        next_change_ = view_.next_change(now);
        if (next_change_)
            next_change_ =
                std::max(*next_change_, add_saturating(now.monotonic, min_tick_interval));
    }

    // For ever, if nothing changes by itself.
    void wait(std::array<pollfd, 5>& wanted) const
    {
        auto until = source_.next_timeout();
        const auto or_sooner = [&](const std::optional<MonotonicTime>& moment) {
            if (moment)
                until = until ? std::min(*until, *moment) : *moment;
        };
        or_sooner(next_change_);
        if (is_dirty_)
            or_sooner(next_frame_);
        const auto left = to_timespec(until ? time_until(*until) : nanoseconds{0});
        if (::ppoll(wanted.data(), wanted.size(), until ? &left : nullptr, nullptr) < 0)
            for (auto& one : wanted)
                one.revents = 0;
    }

    void handle_resize()
    {
        resizes_.drain();
        screen_.resize();
        view_.resize(screen_.size());
        is_dirty_ = true;
    }

    // A terminal that is gone has nobody in front of it.
    View::Next handle_keys(short events)
    {
        bool was_any = false;
        while (const auto pressed = screen_.key()) {
            was_any = true;
            if (view_.press(*pressed, Now::read()) == View::Next::quit)
                return View::Next::quit;
        }
        is_dirty_ = true;
        const bool is_gone = (events & (POLLHUP | POLLERR | POLLNVAL)) != 0;
        return is_gone && !was_any ? View::Next::quit : View::Next::stay;
    }

    void read_remote_messages()
    {
        if (const auto line = stderr_->last_line())
            view_.set_remote_message(*line);
        is_dirty_ = true;
    }

    Screen& screen_;
    View& view_;
    MonitorSource& source_;
    const TerminationSignals& signals_;
    const ResizeSignal& resizes_;
    std::optional<StderrCapture>& stderr_;
    bool is_dirty_ = true;
    MonotonicTime next_frame_{};
    std::optional<MonotonicTime> next_change_;
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
            return report_error(
                usage_error("top is to be looked at; for JSON there is monitor --json"));
        if (const auto possible = Screen::check(); !possible)
            return report_error(possible.error());
        const auto& address = client.address();
        View view{address.remote ? address.remote->host : address.path, {.column = column()}};
        std::optional<StderrCapture> said; // From the first ssh on, which stays.
        if (address.remote)
            if (auto aside = StderrCapture::begin())
                said.emplace(*std::move(aside));
        const auto give_up = [&](const Error& error) { // Where it is seen.
            const auto words = said ? said->take_text() : "";
            said.reset();
            print_error(words);
            return report_error(error);
        };
        auto news = begin_monitor(client, view);
        if (!news)
            return give_up(news.error());
        MonitorSource feed{address, pattern_.text, *std::move(news)};

        const auto signals = TerminationSignals::block();
        if (!signals)
            return give_up(signals.error());
        const auto resizes = ResizeSignal::block();
        if (!resizes)
            return give_up(resizes.error());
        const auto ended_by = show(view, feed, *signals, *resizes, said);
        if (!ended_by)
            return give_up(ended_by.error());
        if (*ended_by)
            TerminationSignals::reraise(**ended_by);
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
    Expected<Monitor> begin_monitor(const Client& client, View& view) const
    {
        auto news = client.changes_with_waiters(pattern_.text);
        while (news && !view.table().is_complete()) {
            const auto next = news->next();
            if (!next)
                return std::unexpected(next.error());
            if (*next) {
                view.table().apply(**next, Now::read());
                continue;
            }
            pollfd wanted{news->fd(), POLLIN, 0};
            ::poll(&wanted, 1, -1);
        }
        view.set_error({});
        return news;
    }

    // The signal that ended it, if one did. The terminal is as it was when this returns.
    Expected<std::optional<int>> show(View& view, MonitorSource& feed,
                                      const TerminationSignals& signals,
                                      const ResizeSignal& resizes,
                                      std::optional<StderrCapture>& said) const
    {
        auto screen = Screen::open(colour_.value());
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
