// The daemon's log. spdlog writes it. Only log.cpp and the journald sink include spdlog's headers,
// which take seconds to compile. journald gets the object, user and process of a line as fields,
// see daemon/base/journald_sink.h.
#pragma once

#include <fmt/core.h>
#include <sys/types.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd::daemon::log {

// The least severity that is logged. Critical lines always are.
enum class Level { debug, info, warn, error };

constexpr auto enum_names(Level)
{
    return std::array<std::pair<Level, std::string_view>, 4>{{{Level::debug, "debug"},
                                                              {Level::info, "info"},
                                                              {Level::warn, "warn"},
                                                              {Level::error, "error"}}};
}

enum class Severity { debug, info, warn, error, critical };

// Logs to journald if standard error is connected to it, else to standard error.
void set_up(Level level);
// Applies to later lines.
void set_level(Level level);

// The object, the user and the user's process that a line is about. Empty fields are not logged.
struct Fields {
    std::string_view name = {};
    std::optional<uid_t> uid = {};
    std::optional<pid_t> pid = {};
};

// Returns the fields of the line that is being written. The daemon has one thread.
const Fields& current_fields();

// Sets current_fields() while it lives.
class ScopedFields {
public:
    explicit ScopedFields(const Fields& fields);
    ~ScopedFields();
    ScopedFields(const ScopedFields&) = delete;
    ScopedFields& operator=(const ScopedFields&) = delete;

private:
    Fields previous_;
};

// Limits the lines of one format: `limited` as LogRateLimit says; `unlimited` for lines that only
// the administrator can cause.
enum class Rate { limited, unlimited };

// Logs `arguments` in `format`, if lines of this severity are logged. A line that cannot be
// formatted for lack of memory is dropped.
void write(Severity severity, Rate rate, const Fields& fields, fmt::string_view format,
           fmt::format_args arguments) noexcept;

// log::warn(fields, format, arguments...), or without `fields` where the line is about nothing in
// particular; log::warn.unlimited(...) likewise.
template <Severity severity>
struct Logger {
    template <class... Args>
    void operator()(const Fields& fields, fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::limited, fields, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void operator()(fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::limited, {}, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void unlimited(const Fields& fields, fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::unlimited, fields, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void unlimited(fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::unlimited, {}, format, fmt::make_format_args(args...));
    }
};

inline constexpr Logger<Severity::debug> debug{};
inline constexpr Logger<Severity::info> info{};
inline constexpr Logger<Severity::warn> warn{};
inline constexpr Logger<Severity::error> error{};
inline constexpr Logger<Severity::critical> critical{};

// Flushes spdlog's buffers and shuts it down.
void shut_down();

} // namespace evfd::daemon::log
