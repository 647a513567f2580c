// What the daemon says of itself. spdlog is the front, also for lines about nothing in particular;
// what a line is about goes with it as fields where it goes to the journal, see
// daemon/journal_sink.h.
#pragma once

#include <spdlog/spdlog.h>
#include <sys/types.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace evfd::daemon::log {

enum class Level { debug, info, warn, error };

constexpr auto words(Level)
{
    return std::array<std::pair<Level, std::string_view>, 4>{{{Level::debug, "debug"},
                                                              {Level::info, "info"},
                                                              {Level::warn, "warn"},
                                                              {Level::error, "error"}}};
}

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

template <class... Args>
void write(spdlog::level::level_enum level, const About& about,
           spdlog::format_string_t<Args...> format, Args&&... args)
{
    auto* logger = spdlog::default_logger_raw();
    if (!logger->should_log(level))
        return;
    const Subject subject{about};
    logger->log(level, format, std::forward<Args>(args)...);
}

template <class... Args>
void debug(const About& about, spdlog::format_string_t<Args...> format, Args&&... args)
{
    write(spdlog::level::debug, about, format, std::forward<Args>(args)...);
}

template <class... Args>
void info(const About& about, spdlog::format_string_t<Args...> format, Args&&... args)
{
    write(spdlog::level::info, about, format, std::forward<Args>(args)...);
}

template <class... Args>
void warn(const About& about, spdlog::format_string_t<Args...> format, Args&&... args)
{
    write(spdlog::level::warn, about, format, std::forward<Args>(args)...);
}

template <class... Args>
void error(const About& about, spdlog::format_string_t<Args...> format, Args&&... args)
{
    write(spdlog::level::err, about, format, std::forward<Args>(args)...);
}

} // namespace evfd::daemon::log
