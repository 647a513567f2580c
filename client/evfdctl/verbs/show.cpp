// What there is and what happens to it: show, list, monitor.
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

class Show : public Verb {
public:
    static constexpr auto name = "show";
    static constexpr auto help = "Show what an object is and what state it is in";

    explicit Show(CLI::App& app) : Verb{app}, name_{app} {}

    Exit run(const Client& client) override
    {
        auto object = client.show(name_.text);
        if (!object)
            return report_error(object.error());
        if (is_json())
            print_json(*object);
        else
            fmt::print("{}", report::show(*object));
        return exit_done;
    }

private:
    NameArgument name_;
};

class List : public Verb {
public:
    static constexpr auto name = "list";
    static constexpr auto help = "List objects";

    explicit List(CLI::App& app) : Verb{app}, pattern_{app} {}

    Exit run(const Client& client) override
    {
        report::Table table{report::object_heading(), report::is_for_terminal()};
        const auto listed = client.list(pattern_.text, [&](protocol::Object& object) {
            if (is_json())
                print_json(object);
            else
                fmt::print("{}", table.add(report::row(object)));
        });
        fmt::print("{}", table.end());
        return done_or_report(listed);
    }

private:
    PatternOption pattern_;
};

class MonitorVerb : public Verb {
public:
    static constexpr auto name = "monitor";
    static constexpr auto help = "Print the state of all objects and then every change";

    explicit MonitorVerb(CLI::App& app) : Verb{app}, pattern_{app}, colour_{app} {}

    Exit run(const Client& client) override
    {
        const auto colour = colour_.value();
        // A daemon that was killed tells the state anew.
        auto give_up = monotonic_deadline(reconnect_timeout);
        while (true) {
            bool was_told = false;
            const auto ended = print_changes(client, [&](protocol::Monitor::Reply& news) {
                was_told = true;
                if (is_json())
                    print_json(news);
                else
                    fmt::print("{}", report::change(news, colour));
            });
            if (was_told)
                give_up = monotonic_deadline(reconnect_timeout);
            if (ended || ended.error().code != ErrorCode::interrupted || monotonic_now() > give_up)
                return done_or_report(ended);
        }
    }

private:
    // With a daemon that goes as soon as it is asked.
    static constexpr nanoseconds reconnect_timeout = std::chrono::seconds{10};

    // Calls `print` with all that the daemon tells, until nobody reads what is printed any more.
    template <class Print>
    Expected<void> print_changes(const Client& client, const Print& print) const
    {
        auto news = client.changes(pattern_.text);
        if (!news)
            return std::unexpected(std::move(news.error()));
        while (true) {
            auto one = news->next();
            if (!one)
                return std::unexpected(std::move(one.error()));
            if (*one) {
                print(**one);
                if (std::fflush(stdout) != 0)
                    return {};
            } else if (!await_change(news->fd())) {
                ::raise(SIGPIPE); // As if we had something to write.
                return {};
            }
        }
    }

    // False: the reader of stdout is gone, which a pipe tells even if nothing was asked of it.
    static bool await_change(int fd)
    {
        std::array<pollfd, 2> wanted{pollfd{fd, POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
        ::poll(wanted.data(), wanted.size(), -1);
        return wanted[1].revents == 0;
    }

    PatternOption pattern_;
    ColourOption colour_;
};

} // namespace

void add_query_verbs(Verbs& verbs)
{
    verbs.add<Show>();
    verbs.add<List>();
    verbs.add<MonitorVerb>();
}

} // namespace evfd::control
