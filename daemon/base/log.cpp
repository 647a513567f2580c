#include "daemon/base/log.h"

#include "common/enums.h"
#include "daemon/base/journald_sink.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

namespace evfd::daemon::log {

namespace {

constexpr const char* program = "evfdd";

spdlog::level::level_enum to_spdlog(Level level)
{
    switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

spdlog::level::level_enum to_spdlog(Severity severity)
{
    switch (severity) {
    case Severity::debug: return spdlog::level::debug;
    case Severity::info: return spdlog::level::info;
    case Severity::warn: return spdlog::level::warn;
    case Severity::error: return spdlog::level::err;
    case Severity::critical: return spdlog::level::critical;
    }
    return spdlog::level::info;
}

spdlog::sink_ptr make_sink()
{
    const char* stream = std::getenv("JOURNAL_STREAM");
    if (stream && is_journald_stream(STDERR_FILENO, stream))
        if (auto sink = JournaldSink::create(journald_socket_path, program))
            return *std::move(sink);
    return std::make_shared<spdlog::sinks::stderr_color_sink_st>();
}

bool is_logged(Severity severity)
{
    return spdlog::default_logger_raw()->should_log(to_spdlog(severity));
}

// Passes the line to all sinks of the log. Only the journald sink also gets the fields.
void write_line(Severity severity, const Fields& fields, std::string_view message)
{
    const auto& logger = *spdlog::default_logger_raw();
    const spdlog::details::log_msg line{logger.name(), to_spdlog(severity),
                                        spdlog::string_view_t{message.data(), message.size()}};
    for (const auto& sink : logger.sinks())
        if (auto* journald = dynamic_cast<JournaldSink*>(sink.get()))
            journald->write(line, fields);
        else
            sink->log(line);
}

} // namespace

void set_up(Level level)
{
    auto logger = std::make_shared<spdlog::logger>(program, make_sink());
    logger->set_pattern("evfdd: %v");
    logger->set_level(to_spdlog(level));
    spdlog::set_default_logger(std::move(logger));
}

void set_level(Level level)
{
    spdlog::set_level(to_spdlog(level));
}

void write(Severity severity, const Fields& fields, fmt::string_view format,
           fmt::format_args arguments) noexcept
try {
    if (is_logged(severity))
        write_line(severity, fields, fmt::vformat(format, arguments));
} catch (const std::exception&) { // The line is dropped: no memory is left to report the failure.
}

void Limited::write(Severity severity, const Fields& fields, fmt::string_view format,
                    fmt::format_args arguments) noexcept
try {
    if (!is_logged(severity))
        return;
    const auto suppressed = limits_[{format.data(), format.size()}].try_acquire(monotonic_now());
    if (!suppressed)
        return;
    auto line = fmt::vformat(format, arguments);
    if (*suppressed > 0)
        line += fmt::format(" ({} more before)", *suppressed);
    write_line(severity, fields, line);
} catch (const std::exception&) { // The line is dropped: no memory is left to report the failure.
}

void shut_down()
{
    spdlog::shutdown();
}

} // namespace evfd::daemon::log
