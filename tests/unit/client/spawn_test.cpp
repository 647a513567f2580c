#include "client/core/spawn.h"

#include "common/null_file.h"
#include "tests/support/catch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace evfd {
namespace {

// Runs a program to its end and returns its output.
std::string output_of(std::vector<std::string> words, Signals signals)
{
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end{ends[0]};
    UniqueFd write_end{ends[1]};
    const auto child = spawn_program(std::move(words), open_null(), write_end, signals);
    REQUIRE(child);
    write_end = {};
    std::string text;
    std::array<char, 4096> some{};
    for (ssize_t got = 0; (got = ::read(read_end.get(), some.data(), some.size())) > 0;)
        text.append(some.data(), static_cast<std::size_t>(got));
    ::waitpid(*child, nullptr, 0);
    return text;
}

// Returns the signal mask in the field `field` of `status`, the text of /proc/PID/status. See
// proc(5).
std::uint64_t signals_of(const std::string& status, std::string_view field)
{
    const auto at = status.find(field);
    REQUIRE(at != std::string::npos);
    return std::stoull(status.substr(at + field.size()), nullptr, 16);
}

// Signal masks as /proc/PID/status shows them. The tests ignore SIGHUP and block SIGUSR1.
constexpr std::uint64_t ignored_by_us = std::uint64_t{1} << (SIGHUP - 1);
constexpr std::uint64_t blocked_by_us = std::uint64_t{1} << (SIGUSR1 - 1);

// Starts a program and returns the text of its /proc/PID/status.
std::string status_of_started(Signals signals)
{
    auto* const before = ::signal(SIGHUP, SIG_IGN);
    sigset_t one;
    sigset_t unblocked;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    REQUIRE(::pthread_sigmask(SIG_BLOCK, &one, &unblocked) == 0);

    auto status = output_of({"cat", "/proc/self/status"}, signals);

    ::pthread_sigmask(SIG_SETMASK, &unblocked, nullptr);
    ::signal(SIGHUP, before);
    return status;
}

TEST_CASE("a started server ignores no signal and blocks none, whatever its parent does")
{
    const auto status = status_of_started(Signals::reset);

    // In a child, the C library ignores its two internal signals, 32 and 33. The test leaves these
    // signals out.
    constexpr auto of_library = std::uint64_t{3} << 31;
    CHECK(signals_of(status, "SigBlk:") == 0);
    CHECK((signals_of(status, "SigIgn:") & ~of_library) == 0);
}

TEST_CASE("a program that inherits signals ignores and blocks the same signals as its parent")
{
    const auto status = status_of_started(Signals::inherited);

    CHECK((signals_of(status, "SigBlk:") & blocked_by_us) != 0);
    CHECK((signals_of(status, "SigIgn:") & ignored_by_us) != 0);
}

} // namespace
} // namespace evfd
