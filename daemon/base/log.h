// The daemon's log, which is written by spdlog. Only log.cpp and the journald sink include the
// headers of spdlog, because the headers take seconds to compile. journald gets the object, the
// user and the process of a line as fields, see daemon/base/journald_sink.h.
#pragma once

#include "daemon/base/log_rate_limit.h"

#include <fmt/core.h>
#include <sys/types.h>

#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd::daemon::log {

// The configured log level: less severe lines are not logged. Critical lines are always logged.
enum class Level { debug, info, warn, error };

constexpr auto enum_names(Level)
{
    return std::array<std::pair<Level, std::string_view>, 4>{{{Level::debug, "debug"},
                                                              {Level::info, "info"},
                                                              {Level::warn, "warn"},
                                                              {Level::error, "error"}}};
}

enum class Severity { debug, info, warn, error, critical };

// Starts the log. Lines go to journald if standard error is connected to journald, and to standard
// error if it is not.
void set_up(Level level);
// Changes the log level for later lines.
void set_level(Level level);
// Flushes spdlog's buffers and shuts spdlog down.
void shut_down();

// The object, the user and the user's process that a line is about. Empty fields are not logged.
struct Fields {
    std::string_view name = {};
    std::optional<uid_t> uid = {};
    std::optional<pid_t> pid = {};
};

// Formats and logs a line, unless the log level excludes its severity. The line is dropped if there
// is no memory to format it.
void write(Severity severity, const Fields& fields, fmt::string_view format,
           fmt::format_args arguments) noexcept;

template <class... Args>
void debug(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
{
    write(Severity::debug, fields, format, fmt::make_format_args(args...));
}
template <class... Args>
void info(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
{
    write(Severity::info, fields, format, fmt::make_format_args(args...));
}
template <class... Args>
void warn(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
{
    write(Severity::warn, fields, format, fmt::make_format_args(args...));
}
template <class... Args>
void error(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
{
    write(Severity::error, fields, format, fmt::make_format_args(args...));
}
template <class... Args>
void critical(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
{
    write(Severity::critical, fields, format, fmt::make_format_args(args...));
}

// Logs lines that clients can cause, at a limited rate. Lines of the same format are one kind. Each
// kind has its own limit, so one kind cannot suppress another. Debug lines have no limit.
class Limited {
public:
    template <class... Args>
    void info(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
    {
        write(Severity::info, fields, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void warn(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
    {
        write(Severity::warn, fields, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void error(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
    {
        write(Severity::error, fields, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void critical(const Fields& fields, fmt::format_string<Args...> format, Args&&... args)
    {
        write(Severity::critical, fields, format, fmt::make_format_args(args...));
    }

private:
    void write(Severity severity, const Fields& fields, fmt::string_view format,
               fmt::format_args arguments) noexcept;

    std::map<std::string_view, LogRateLimit> limits_;
};

} // namespace evfd::daemon::log
