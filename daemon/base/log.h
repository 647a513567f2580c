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

constexpr auto words(Level)
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
struct About {
    std::string_view name = {};
    std::optional<uid_t> uid = {};
    std::optional<pid_t> pid = {};
};

// What the line that is being written is about. The daemon has one thread.
const About& subject();

// Says it while it lives.
class Subject {
public:
    explicit Subject(const About& about);
    ~Subject();
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;

private:
    About before_;
};

// How many lines of one format are written: as many as LineRate says, or each. The former unless
// nobody but the administrator can cause them.
enum class Rate { limited, each };

// A line of the log: `arguments` in `format`, unless lines of this severity are not logged. A line
// that cannot be formatted for want of memory is left out.
void write(Severity severity, Rate rate, const About& about, fmt::string_view format,
           fmt::format_args arguments) noexcept;

// log::warn(about, format, arguments...), or without `about` where a line is about nothing in
// particular; log::warn.each(...) likewise.
template <Severity severity>
struct Line {
    template <class... Args>
    void operator()(const About& about, fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::limited, about, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void operator()(fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::limited, {}, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void each(const About& about, fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::each, about, format, fmt::make_format_args(args...));
    }
    template <class... Args>
    void each(fmt::format_string<Args...> format, Args&&... args) const
    {
        write(severity, Rate::each, {}, format, fmt::make_format_args(args...));
    }
};

inline constexpr Line<Severity::debug> debug{};
inline constexpr Line<Severity::info> info{};
inline constexpr Line<Severity::warn> warn{};
inline constexpr Line<Severity::error> error{};
inline constexpr Line<Severity::critical> critical{};

// Writes out what spdlog still holds back, and ends it.
void shut_down();

} // namespace evfd::daemon::log
