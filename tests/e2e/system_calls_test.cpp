// Tests of a client whose recvmsg(2) fails unexpectedly. The client must not repeat a call. If it
// cannot receive the reply, it must report that the result of the call is unknown.
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"

namespace evfd::e2e {
namespace {

Command with_fault(Command command, const std::string& fault)
{
    const std::vector<std::string> strace{"/usr/bin/strace", "-f", "-o", "/dev/null", "-e", fault};
    command.argv.insert(command.argv.begin(), strace.begin(), strace.end());
    command.environment.emplace_back("LD_PRELOAD=");
    command.environment.emplace_back(
        // Disables the leak check of a sanitizer, because the check cannot run under strace(1).
        "LSAN_OPTIONS=detect_leaks=0");
    return command;
}

void skip_unless_fault_injection()
{
    skip_unless_strace();
    if (run(with_fault({.argv = {"true"}}, "inject=recvmsg:error=EINTR")).status != 0)
        skip("strace may not trace here");
}

TEST_CASE("a reply whose receipt fails once is received later, and the call is not repeated")
{
    skip_unless_fault_injection();
    const DaemonProcess daemon;
    const auto error = GENERATE(as<std::string>{}, "ENOMEM", "ECONNRESET", "EINTR");
    const auto client = daemon.client();
    constexpr int rounds = 3;
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore, .initial = 2 * rounds}));
    for (int i = 1; i <= rounds; ++i) {
        INFO(error << ", the recvmsg(2) of the number " << i);
        const auto fault = "inject=recvmsg:error=" + error + ":when=" + std::to_string(i);
        CHECK(run(with_fault(daemon.ctl_command({"wait", "jobs"}), fault)).status == 0);
        CHECK(value_or_throw(client.show("jobs")).count == 2 * rounds - i);
    }
}

TEST_CASE("a reply that cannot be received is an error, and the call is not repeated")
{
    skip_unless_fault_injection();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("jobs", {.mode = Mode::semaphore, .initial = 5}));

    const auto failed =
        run(with_fault(daemon.ctl_command({"wait", "jobs"}), "inject=recvmsg:error=ENOMEM"));

    CHECK(failed.status == 8);
    CHECK(failed.err.contains("recvmsg(2)"));
    CHECK(failed.err.contains("is not known: check, and try again"));
    const auto jobs = value_or_throw(client.show("jobs"));
    CHECK(jobs.count == 4);
    CHECK(jobs.waits == 0);
}

} // namespace
} // namespace evfd::e2e
