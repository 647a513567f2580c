// Tests with a hostile daemon at $EVFDD_SOCKET or behind --host. evfdctl replaces each control
// character in the replies by a question mark, so that the daemon cannot control the terminal.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/scripted_daemon.h"

#include <fmt/format.h>

namespace evfd::e2e {
namespace {

// A text with control characters, which are escaped as in JSON.
const auto hostile_text = R"(\u001b]0;title\u0007\u001b[31mred\u009b2J)"s;
constexpr auto clean_text = "?]0;title??[31mred?2J";

// Runs evfdctl against a scripted daemon that answers with `reply`. Returns the output and the exit
// status of evfdctl.
RunResult run_with_reply(std::vector<std::string> words, const std::string& reply)
{
    ScriptedDaemon daemon;
    words.insert(words.begin(), {EVFDD_CTL, "--socket", daemon.address().path});
    const auto [output, into] = make_pipe();
    const auto [errors, errors_into] = make_pipe();
    auto evfdctl = start({.argv = std::move(words),
                          .standard_output = into.get(),
                          .standard_error = errors_into.get()});
    {
        auto connection = daemon.accept();
        // The first call is Resume, to which this daemon does not reply.
        REQUIRE(connection.receive_call().contains("Resume"));
        connection.receive_call();
        connection.send_reply(reply);
        REQUIRE(await_readable(evfdctl.pidfd().get()));
    }
    const auto text_in = [](const UniqueFd& pipe) {
        std::string text(1 << 16, '\0');
        // Does not read if evfdctl has printed nothing, because read(2) would block.
        const auto length =
            await_readable(pipe.get(), 0ns) ? ::read(pipe.get(), text.data(), text.size()) : 0;
        text.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
        return text;
    };
    const auto status = evfdctl.wait();
    return {status, text_in(output), text_in(errors)};
}

bool has_control(std::string_view text)
{
    return text.contains("\xc2\x9b") || std::ranges::any_of(text, [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
           });
}

void check_no_control(const RunResult& ran)
{
    CAPTURE(ran.out, ran.err);
    CHECK_FALSE(has_control(ran.out));
    CHECK_FALSE(has_control(ran.err));
}

std::string status_reply(const std::string& version)
{
    return R"({"parameters":{"version":")" + version +
           R"(","pid":1,"startedNSec":0,"objects":0,"connections":0,"waits":0,"monitors":0,)"
           R"("subscriptions":0,"descriptors":0,"descriptorLimit":0,"fdStore":"none",)"
           R"("orphanedSessions":0,"stashedDescriptors":0,"journalBytes":0,"isJournalWritable":true}})";
}

TEST_CASE("evfdctl prints a hostile daemon's reply without control characters")
{
    const auto ran = run_with_reply({"status"}, status_reply(hostile_text));
    check_no_control(ran);
    CHECK(ran.status == 0);
    CHECK(ran.out.contains(fmt::format("evfdd {} (pid 1)", clean_text)));

    const auto metrics =
        run_with_reply({"metrics"}, R"({"parameters":{"text":"a\tb\n)" + hostile_text + R"(\n"}})");
    check_no_control(metrics);
    CHECK(metrics.out == fmt::format("a\tb\n{}\n", clean_text));

    const auto shown = run_with_reply(
        {"show", "s"},
        R"({"parameters":{"object":{"name":"s","id":7,"kind":"event","mode":"semaphore","ownerUid":0,)"
        R"("groupGid":0,"creatorPid":1,"createdNSec":0,"permissions":"0644","lifetime":"permanent",)"
        R"("waits":0,"isSet":true,"largeCount":")" +
            hostile_text + R"("}}})");
    check_no_control(shown);
    CHECK(shown.out.contains(fmt::format("{} tokens", clean_text)));
}

TEST_CASE("evfdctl --json escapes control characters of a hostile daemon's reply")
{
    const auto ran = run_with_reply({"status", "--json"}, status_reply(hostile_text));
    check_no_control(ran);
    CHECK(Json::parse(ran.out)["version"] == Json::parse('"' + hostile_text + '"'));
}

TEST_CASE("evfdctl prints a hostile daemon's error as one line without control characters")
{
    const auto reply = GENERATE(
        R"({"error":"io.evfdd.SystemFailure","parameters":{"message":"?"}})"s,
        R"({"error":"io.evfdd.NoSuchName","parameters":{"name":"x","message":"?"}})"s,
        R"({"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":"?"}})"s,
        R"({"error":"org.x.?","parameters":{}})"s);
    const auto at = reply.find('?');
    const auto ran =
        run_with_reply({"set", "x"}, reply.substr(0, at) + hostile_text + reply.substr(at + 1));
    check_no_control(ran);
    CHECK(ran.status != 0);
    CHECK(ran.err.contains(clean_text));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("the library's error message contains no control characters of a hostile daemon")
{
    ScriptedDaemon daemon;
    Worker worker{[&](const WorkerSocket&) {
        const auto refused = Client{daemon.address()}.status();
        require(!refused && refused.error().message == clean_text, refused.error().message);
    }};
    auto connection = daemon.accept();
    connection.receive_call();
    connection.receive_call();
    connection.send_reply(R"({"error":"io.evfdd.SystemFailure","parameters":{"message":")" +
                          hostile_text + R"("}})");
    CHECK(worker.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
