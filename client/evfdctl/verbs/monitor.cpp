// evfdctl monitor: prints the state of all objects, and then every change.
#include "client/core/monitor.h"
#include "client/evfdctl/global_options.h"
#include "client/evfdctl/verb.h"
#include "common/clock.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>

namespace evfd::control {

namespace {

class MonitorVerb : public Verb {
public:
    static constexpr auto name = "monitor";
    static constexpr auto help = "Print the state of all objects and then every change";
    static constexpr auto group = verb_group::objects;

    explicit MonitorVerb(CLI::App& app) : Verb{app}, pattern_{app}, colour_{app} {}

    Exit run(const Client& client) override
    {
        const auto colour = colour_.value();
        report::ChangeLines lines{colour};
        // After a restart of the daemon, evfdctl begins a new monitor, which reports the whole
        // state again.
        auto retry_deadline = monotonic_deadline(reconnect_timeout);
        while (true) {
            bool had_change = false;
            const auto ended = print_changes(client, [&](protocol::Monitor::Reply& change) {
                had_change = true;
                if (is_json())
                    print_json(change);
                else
                    fmt::print("{}", report::is_for_terminal() ? lines.add(change, wall_now())
                                                               : report::change(change, colour));
            });
            if (had_change)
                retry_deadline = monotonic_deadline(reconnect_timeout);
            if (ended || ended.error().code != ErrorCode::interrupted ||
                monotonic_now() > retry_deadline)
                return done_or_report(ended);
        }
    }

private:
    // How long evfdctl tries to reconnect without receiving a change. Without this limit, evfdctl
    // would reconnect forever to a daemon that exits each time that a monitor begins.
    static constexpr nanoseconds reconnect_timeout = std::chrono::seconds{10};

    // Calls `print` with every change, until nobody reads the output any more.
    template <class Print>
    Expected<void> print_changes(const Client& client, const Print& print) const
    {
        auto monitor = client.changes(pattern_.text);
        if (!monitor)
            return std::unexpected(std::move(monitor.error()));
        while (true) {
            auto change = monitor->next();
            if (!change)
                return std::unexpected(std::move(change.error()));
            if (*change) {
                print(**change);
                if (std::fflush(stdout) != 0)
                    return {};
            } else if (!await_change(monitor->fd())) {
                ::raise(SIGPIPE); // Ends evfdctl as a write to the closed pipe would.
                return {};
            }
        }
    }

    // Waits for a change. Returns false if the reader of standard output has exited, which poll(2)
    // reports even if `events` is 0.
    static bool await_change(int fd)
    {
        std::array<pollfd, 2> polled{pollfd{fd, POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
        ::poll(polled.data(), polled.size(), -1);
        return polled[1].revents == 0;
    }

    PatternOption pattern_;
    ColourOption colour_;
};

} // namespace

void add_monitor(Verbs& verbs)
{
    verbs.add<MonitorVerb>();
}

} // namespace evfd::control
