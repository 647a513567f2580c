// evfdctl top: shows all objects on the terminal, continuously updated.
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

// The shortest time between two drawings, however many events arrive.
constexpr nanoseconds min_frame_interval = 50ms;
// The shortest time until the next drawing if the text changes merely because time passes.
constexpr nanoseconds min_tick_interval = 1s;

// Blocks SIGWINCH and delivers it through a descriptor, which polls readable when the size of the
// terminal has changed.
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
        signalfd_siginfo info{};
        while (::read(fd_.get(), &info, sizeof info) > 0) {
        }
    }

private:
    explicit ResizeSignal(UniqueFd fd) : fd_{std::move(fd)} {}

    UniqueFd fd_;
};

// The event loop: draws the view and reads everything that can change the view.
class Display {
public:
    Display(Screen& screen, View& view, MonitorSource& source, const TerminationSignals& signals,
            const ResizeSignal& resizes, std::optional<StderrCapture>& captured)
        : screen_{screen}, view_{view}, source_{source}, signals_{signals}, resizes_{resizes},
          stderr_{captured}
    {
        view_.resize(screen_.size());
    }

    // Returns the signal that ended the loop, or nothing if the user quits.
    std::optional<int> run()
    {
        while (true) {
            draw_if_due();
            std::array<pollfd, 5> polled{{{signals_.fd().get(), POLLIN, 0},
                                          {resizes_.fd(), POLLIN, 0},
                                          {STDIN_FILENO, POLLIN, 0},
                                          {source_.fd(), POLLIN, 0},
                                          {stderr_ ? stderr_->fd() : -1, POLLIN, 0}}};
            wait(polled);
            const auto& [stop, resize, keys, source, captured] = polled;
            if (stop.revents != 0)
                if (const auto signal = signals_.take_next())
                    return signal->number;
            if (resize.revents != 0)
                handle_resize();
            if (keys.revents != 0 && handle_keys(keys.revents) == View::Next::quit)
                return {};
            if (captured.revents != 0)
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

    // Waits until a descriptor is ready, or until the next drawing is due. If no drawing is due,
    // waits indefinitely.
    void wait(std::array<pollfd, 5>& polled) const
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
        if (::ppoll(polled.data(), polled.size(), until ? &left : nullptr, nullptr) < 0)
            for (auto& one : polled)
                one.revents = 0;
    }

    void handle_resize()
    {
        resizes_.drain();
        screen_.resize();
        view_.resize(screen_.size());
        is_dirty_ = true;
    }

    // Handles all keys in the input. Quits if the terminal has hung up, because nobody uses the
    // terminal any more.
    View::Next handle_keys(short events)
    {
        bool any_key = false;
        while (const auto pressed = screen_.key()) {
            any_key = true;
            if (view_.press(*pressed, Now::read()) == View::Next::quit)
                return View::Next::quit;
        }
        is_dirty_ = true;
        const bool has_hung_up = (events & (POLLHUP | POLLERR | POLLNVAL)) != 0;
        return has_hung_up && !any_key ? View::Next::quit : View::Next::stay;
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
    static constexpr auto help = "Show all objects on the terminal, continuously updated";
    static constexpr auto group = verb_group::objects;

    explicit Top(CLI::App& app) : Verb{app}, pattern_{app}, colour_{app}
    {
        std::vector<std::string> names;
        for (const auto& [column, text] : top::columns)
            names.emplace_back(text);
        app.add_option("--sort", sort_, "Sort by COLUMN at first (default: name)")
            ->type_name("COLUMN")
            ->check(OneOf(std::move(names)));
    }

    // Connects to the daemon before the screen is drawn, because ssh can ask for a password.
    Exit run(const Client& client) override
    {
        if (is_json())
            return report_error(usage_error("top has no JSON output; use monitor --json"));
        if (const auto possible = Screen::check(); !possible)
            return report_error(possible.error());
        const auto& address = client.address();
        View view{address.remote ? address.remote->host : address.path, {.column = column()}};
        // Captures the messages of ssh. ssh runs as long as the connection exists, and can print
        // messages at any time.
        std::optional<StderrCapture> captured;
        if (address.remote)
            if (auto capture = StderrCapture::begin())
                captured.emplace(*std::move(capture));
        // Prints the captured messages of ssh and the error. Called after the terminal is restored.
        const auto fail = [&](const Error& error) {
            const auto text = captured ? captured->take_text() : "";
            captured.reset();
            print_error(text);
            return report_error(error);
        };
        auto monitor = begin_monitor(client, view);
        if (!monitor)
            return fail(monitor.error());
        MonitorSource source{address, pattern_.text, *std::move(monitor)};

        const auto signals = TerminationSignals::block();
        if (!signals)
            return fail(signals.error());
        const auto resizes = ResizeSignal::block();
        if (!resizes)
            return fail(resizes.error());
        const auto ended_by = show(view, source, *signals, *resizes, captured);
        if (!ended_by)
            return fail(ended_by.error());
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

    // Returns a monitor, and applies its initial list of objects to the view.
    Expected<Monitor> begin_monitor(const Client& client, View& view) const
    {
        auto monitor = client.changes_with_waiters(pattern_.text);
        while (monitor && !view.table().is_complete()) {
            const auto next = monitor->next();
            if (!next)
                return std::unexpected(next.error());
            if (*next) {
                view.table().apply(**next, Now::read());
                continue;
            }
            pollfd polled{monitor->fd(), POLLIN, 0};
            ::poll(&polled, 1, -1);
        }
        view.set_error({});
        return monitor;
    }

    // Runs the display. Returns the signal that ended the display, or nothing if the user quit. The
    // terminal is restored before this function returns.
    Expected<std::optional<int>> show(View& view, MonitorSource& source,
                                      const TerminationSignals& signals,
                                      const ResizeSignal& resizes,
                                      std::optional<StderrCapture>& captured) const
    {
        auto screen = Screen::open(colour_.value());
        if (!screen)
            return std::unexpected(screen.error());
        return Display{*screen, view, source, signals, resizes, captured}.run();
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
