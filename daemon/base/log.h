// The daemon's log. spdlog writes it; only log.cpp and the journal's sink include spdlog's headers,
// which take seconds to compile. The journal gets what a line is about as fields, see
// daemon/journal_sink.h.
#pragma once

#include <fmt/core.h>
#include <sys/types.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd::daemon::log {

// From which severity on lines are logged. Critical lines always are.
enum class Level { debug, info, warn, error };

constexpr auto enum_names(Level)
{
    return std::array<std::pair<Level, std::string_view>, 4>{{{Level::debug, "debug"},
                                                              {Level::info, "info"},
                                                              {Level::warn, "warn"},
                                                              {Level::error, "error"}}};
}

enum class Severity { debug, info, warn, error, critical };

// To the journal if standard error goes there, else to standard error.
void set_up(Level level);
// From now on.
void set_level(Level level);

// What a line is about: an object, a user, that user's process. What is left out is not said.
struct Fields {
    std::string_view name = {};
    std::optional<uid_t> uid = {};
    std::optional<pid_t> pid = {};
};

// What the line that is being written is about. The daemon has one thread.
const Fields& current_fields();

// Says it while it lives.
class ScopedFields {
public:
    explicit ScopedFields(const Fields& fields);
    ~ScopedFields();
    ScopedFields(const ScopedFields&) = delete;
    ScopedFields& operator=(const ScopedFields&) = delete;

private:
    Fields previous_;
};

// How many lines of one format are written: as many as LogRateLimit says, or each. The former
// unless nobody but the administrator can cause them.
enum class Rate { limited, unlimited };

// A line of the log: `arguments` in `format`, unless lines of this severity are not logged. A line
// that cannot be formatted for want of memory is left out.
void write(Severity severity, Rate rate, const Fields& fields, fmt::string_view format,
           fmt::format_args arguments) noexcept;

// log::warn(about, format, arguments...), or without `about` where a line is about nothing in
// particular; log::warn.each(...) likewise.
template <Severity severity>
struct Logger {
    template <class... Args>
    void operator()(const Fields& about, fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::limited, about, format, fmt::make_format_args(args...));
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

// Writes out what spdlog still holds back, and ends it.
void shut_down();

} // namespace evfd::daemon::log
