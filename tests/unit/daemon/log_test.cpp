#include "daemon/base/log.h"

#include "tests/support/catch.h"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

namespace evfd::daemon {
namespace {

// Captures the daemon's log as long as the object exists.
class CapturedLog {
public:
    CapturedLog()
    {
        auto logger = std::make_shared<spdlog::logger>(
            "evfdd", std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
        logger->set_pattern("%l: %v");
        spdlog::set_default_logger(std::move(logger));
    }
    ~CapturedLog() { spdlog::set_default_logger(before_); }
    CapturedLog(const CapturedLog&) = delete;
    CapturedLog& operator=(const CapturedLog&) = delete;

    std::string text() const { return text_.str(); }
    std::int64_t lines() const { return std::ranges::count(text(), '\n'); }

private:
    std::ostringstream text_;
    std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_CASE("a line has a severity and the arguments in its format")
{
    const CapturedLog captured;
    log::info({}, "ready");
    log::warn({.name = "a"}, "'{}' is {}", "a", 7);
    log::error({.uid = 1}, "{}", "{}");
    log::critical({}, "out of {}", "memory");
    CHECK(captured.text() ==
          "info: ready\nwarning: 'a' is 7\nerror: {}\ncritical: out of memory\n");
}

TEST_CASE("lines below the level are not logged, and critical ones always are")
{
    const CapturedLog captured;
    log::set_level(log::Level::error);
    log::Limited limited;
    log::debug({}, "a");
    log::warn({}, "b");
    limited.info({}, "c");
    limited.warn({}, "d");
    log::error({}, "e");
    limited.error({}, "f");
    limited.critical({}, "g");
    CHECK(captured.text() == "error: e\nerror: f\ncritical: g\n");
}

TEST_CASE("a line that is not limited is always logged")
{
    const CapturedLog captured;
    constexpr auto many = 10 * LogRateLimit::burst;
    for (std::int64_t i = 0; i < many; ++i)
        log::info({}, "{}", i);
    CHECK(captured.lines() == many);
}

TEST_CASE("a limited kind of line says later how many were suppressed")
{
    const CapturedLog captured;
    log::Limited limited;
    std::int64_t wanted = 0;
    while (!captured.text().contains("more before")) {
        limited.info({}, "line {}", 1);
        ++wanted;
    }
    const auto text = captured.text();
    const auto last = text.substr(text.rfind("info: line 1 ("));
    const auto suppressed = wanted - captured.lines();
    CHECK(suppressed > 0);
    CHECK(last == "info: line 1 (" + std::to_string(suppressed) + " more before)\n");
}

TEST_CASE("a limited kind of line cannot suppress another kind")
{
    const CapturedLog captured;
    log::Limited limited;
    // The rate limit is 20 lines a second, so this many lines would take about 500 seconds.
    constexpr std::int64_t many = 10'000;
    for (std::int64_t i = 0; i < many; ++i)
        limited.warn({}, "filled {}", i);
    CHECK(captured.lines() < many);
    limited.error({}, "cannot poll");
    CHECK(captured.text().ends_with("error: cannot poll\n"));
}

} // namespace
} // namespace evfd::daemon
