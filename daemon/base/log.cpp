#include "daemon/base/log.h"

#include "daemon/base/journald_sink.h"
#include "daemon/base/log_rate_limit.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <exception>
#include <iterator>
#include <map>
#include <memory>

namespace evfd::daemon::log {

namespace {

constexpr const char* program = "evfdd";

Fields fields_in_scope;

// The format identifies the kind of a line. Each kind has its own limit, so one kind cannot
// suppress another.
LogRateLimit& rate_limit_for(fmt::string_view format)
{
    static std::map<std::string_view, LogRateLimit> rates;
    return rates[std::string_view{format.data(), format.size()}];
}

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

const Fields& current_fields()
{
    return fields_in_scope;
}

ScopedFields::ScopedFields(const Fields& fields) : previous_{std::exchange(fields_in_scope, fields)}
{
}

ScopedFields::~ScopedFields()
{
    fields_in_scope = previous_;
}

void write(Severity severity, Rate rate, const Fields& fields, fmt::string_view format,
           fmt::format_args arguments) noexcept
try {
    auto* logger = spdlog::default_logger_raw();
    if (!logger->should_log(to_spdlog(severity)))
        return;
    const auto suppressed = rate == Rate::unlimited || severity == Severity::debug
                                ? std::int64_t{0}
                                : rate_limit_for(format).try_acquire(monotonic_now());
    if (!suppressed)
        return;
    const ScopedFields scope{fields};
    fmt::memory_buffer line;
    fmt::vformat_to(std::back_inserter(line), format, arguments);
    if (*suppressed > 0)
        fmt::format_to(std::back_inserter(line), " ({} more before)", *suppressed);
    logger->log(to_spdlog(severity), spdlog::string_view_t{line.data(), line.size()});
} catch (const std::exception&) { // There is no memory to report it either.
}

void shut_down()
{
    spdlog::shutdown();
}

} // namespace evfd::daemon::log
