#include "daemon/log.h"

#include "daemon/journal_sink.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <cstdlib>
#include <memory>

namespace evfd::daemon::log {

namespace {

constexpr const char* program = "evfdd";

About current;

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

spdlog::sink_ptr make_sink()
{
    const char* stream = std::getenv("JOURNAL_STREAM");
    if (stream && is_journal_stream(STDERR_FILENO, stream))
        if (auto sink = JournalSink::create(journal_socket_path, program))
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

const About& subject()
{
    return current;
}

Subject::Subject(const About& about) : before_{std::exchange(current, about)} {}

Subject::~Subject()
{
    current = before_;
}

} // namespace evfd::daemon::log
