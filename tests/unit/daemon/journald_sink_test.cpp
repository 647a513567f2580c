#include "daemon/base/journald_sink.h"

#include "daemon/base/log.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/unix_address.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

namespace evfd::daemon {
namespace {

// A stand-in for journald. It receives the daemon's log as long as the object exists.
class FakeJournald {
public:
    FakeJournald()
    {
        open();
        auto sink = JournaldSink::create(path_, "evfdd");
        REQUIRE(sink);
        auto logger = std::make_shared<spdlog::logger>("evfdd", *std::move(sink));
        logger->set_level(spdlog::level::info);
        spdlog::set_default_logger(std::move(logger));
    }
    ~FakeJournald() { spdlog::set_default_logger(before_); }
    FakeJournald(const FakeJournald&) = delete;
    FakeJournald& operator=(const FakeJournald&) = delete;

    void open()
    {
        close();
        socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        REQUIRE(bind_path(socket_, path_) == 0);
    }
    void close()
    {
        socket_ = {};
        ::unlink(path_.c_str());
    }
    // Returns the next log entry, or an empty string if there is none.
    std::string next() const
    {
        std::array<char, 8192> bytes{};
        const auto size = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        return size < 0 ? std::string{} : std::string{bytes.data(), static_cast<std::size_t>(size)};
    }

private:
    TemporaryDirectory directory_;
    std::string path_ = directory_ / "journal";
    UniqueFd socket_;
    std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

// Captures the standard error of this process as long as the object exists.
class CapturedStderr {
public:
    CapturedStderr()
    {
        REQUIRE(::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        REQUIRE(::dup2(ends_[1], STDERR_FILENO) >= 0);
    }
    ~CapturedStderr()
    {
        ::dup2(before_.get(), STDERR_FILENO);
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    CapturedStderr(const CapturedStderr&) = delete;
    CapturedStderr& operator=(const CapturedStderr&) = delete;

    std::string text() const
    {
        std::array<char, 4096> bytes{};
        const auto size = ::read(ends_[0], bytes.data(), bytes.size());
        return size < 0 ? std::string{} : std::string{bytes.data(), static_cast<std::size_t>(size)};
    }

private:
    UniqueFd before_{::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)};
    std::array<int, 2> ends_{};
};

TEST_CASE("a line about an object and a user has fields in the journal")
{
    const FakeJournald journald;
    log::warn({.name = "db/ready", .uid = 1000, .pid = 42}, "'{}' is {}", "db/ready", 7);
    CHECK(journald.next() == "MESSAGE='db/ready' is 7\nPRIORITY=4\nSYSLOG_IDENTIFIER=evfdd\n"
                             "EVFDD_NAME=db/ready\nEVFDD_UID=1000\nEVFDD_PID=42\n");
}

TEST_CASE("a line without a subject has no field of an earlier line")
{
    const FakeJournald journald;
    log::info({.uid = 0, .pid = 0}, "about root");
    log::info({}, "ready");
    spdlog::info("from elsewhere");
    CHECK(journald.next() ==
          "MESSAGE=about root\nPRIORITY=6\nSYSLOG_IDENTIFIER=evfdd\nEVFDD_UID=0\n");
    CHECK(journald.next() == "MESSAGE=ready\nPRIORITY=6\nSYSLOG_IDENTIFIER=evfdd\n");
    CHECK(journald.next() == "MESSAGE=from elsewhere\nPRIORITY=6\nSYSLOG_IDENTIFIER=evfdd\n");
}

TEST_CASE("log levels map to journal priorities")
{
    const FakeJournald journald;
    const auto [level, priority] =
        GENERATE(table<spdlog::level::level_enum, int>({{spdlog::level::debug, 7},
                                                        {spdlog::level::info, 6},
                                                        {spdlog::level::warn, 4},
                                                        {spdlog::level::err, 3},
                                                        {spdlog::level::critical, 2}}));
    log::set_level(log::Level::debug);
    spdlog::log(level, "x");
    CHECK(journald.next().contains(fmt::format("\nPRIORITY={}\n", priority)));
}

TEST_CASE("a message of several lines is one entry and cannot add fields")
{
    const FakeJournald journald;
    spdlog::info("a\nEVFDD_UID=0");
    using namespace std::string_literals;
    CHECK(journald.next() == "MESSAGE\n\x0d\0\0\0\0\0\0\0"s + "a\nEVFDD_UID=0\n" +
                                 "PRIORITY=6\nSYSLOG_IDENTIFIER=evfdd\n");
}

TEST_CASE("a suppressed level is not formatted")
{
    const FakeJournald journald;
    log::debug({}, "{}", "x");
    CHECK(journald.next().empty());
    log::set_level(log::Level::debug);
    log::debug({}, "{}", "x");
    CHECK(journald.next().contains("PRIORITY=7"));
}

TEST_CASE("a full journal socket blocks nobody and later gets the number of lost lines")
{
    const FakeJournald journald;
    const CapturedStderr standard_error;
    constexpr int many = 10'000; // A socket can queue fewer lines than this.
    for (int i = 0; i < many; ++i)
        spdlog::info("line {}", i);
    int read = 0;
    while (!journald.next().empty())
        ++read;
    REQUIRE(read < many);
    CHECK(standard_error.text().empty());

    spdlog::info("again");

    CHECK(journald.next() ==
          fmt::format("MESSAGE={} log lines were dropped: journald's queue was full\nPRIORITY=4\n"
                      "SYSLOG_IDENTIFIER=evfdd\n",
                      many - read));
    CHECK(journald.next().starts_with("MESSAGE=again\n"));
    spdlog::info("and on");
    CHECK(journald.next().starts_with("MESSAGE=and on\n"));
}

TEST_CASE("lines go to standard error while the journal is missing")
{
    FakeJournald journald;
    {
        const CapturedStderr standard_error;
        journald.close();
        log::info({.name = "a"}, "about '{}'", "a");
        CHECK(standard_error.text() == "evfdd: about 'a'\n");
    }
    journald.open();
    spdlog::info("found");
    CHECK(journald.next().starts_with("MESSAGE=found\n"));
}

TEST_CASE("standard error is the journal only if JOURNAL_STREAM names that very file")
{
    const TemporaryDirectory directory;
    const auto path = directory / "file";
    const UniqueFd fd{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
    struct stat status{};
    REQUIRE(::fstat(fd.get(), &status) == 0);
    const auto stream = fmt::format("{}:{}", status.st_dev, status.st_ino);
    CHECK(is_journald_stream(fd.get(), stream));
    CHECK_FALSE(is_journald_stream(STDIN_FILENO, stream));
    CHECK_FALSE(is_journald_stream(-1, stream));
    const auto* other = GENERATE("", ":", "1", "0:0", "x:y");
    CHECK_FALSE(is_journald_stream(fd.get(), other));
}

TEST_CASE("a path that is too long for a socket is a fault")
{
    CHECK_FALSE(JournaldSink::create(std::string(200, 'x'), "evfdd"));
}

} // namespace
} // namespace evfd::daemon
