// Tests of the example programs, as their users run them.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <vector>

namespace evfd::e2e {
namespace {

UniqueFd connect_to_port(std::uint16_t port)
{
    UniqueFd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    REQUIRE(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return socket;
}

void send_command(const UniqueFd& socket, std::string_view command)
{
    REQUIRE(::send(socket.get(), command.data(), command.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(command.size()));
}

// Returns the rest of a line that starts with `beginning`. Returns nothing if the line does not
// start with `beginning`.
std::optional<std::string> text_after(std::string_view beginning, const std::string& line)
{
    if (!line.starts_with(beginning))
        return {};
    return line.substr(beginning.size());
}

int number(std::string_view text)
{
    int value = -1;
    std::from_chars(text.begin(), text.end(), value);
    return value;
}

// Reads lines until a line starts with `beginning`. Returns the rest of that line.
std::string await_line(OutputReader& program, std::string_view beginning)
{
    while (const auto line = program.read_line())
        if (const auto rest = text_after(beginning, *line))
            return *rest;
    fail("the program ended before it printed " + std::string{beginning});
}

TEST_CASE("the examples with three timers and a socket print what the programs of the HOWTO print")
{
    const auto* const loop = GENERATE(EVFDD_TIMERS_EPOLL, EVFDD_TIMERS_SELECT);
    const bool is_epoll = std::string_view{loop} == EVFDD_TIMERS_EPOLL;
    const DaemonProcess daemon;
    OutputReader program{{.argv = {loop, "0"}, .environment = {"EVFDD_SOCKET=" + daemon.path()}}};
    const auto port = number(await_line(program, "Listening on port "));

    // In three seconds, timer 1 expires 12 times, timer 2 expires 6 times, and timer 3 expires 4
    // times. If the example is late, it reads several expirations at once and prints their number.
    std::map<int, int> counts;
    std::map<int, std::string> descriptors;
    while (counts[1] < 12 || counts[2] < 6 || counts[3] < 4) {
        auto line = program.read_line();
        REQUIRE(line);
        if (is_epoll && text_after("Signaled events=[", *line))
            line = program.read_line();
        REQUIRE(line);
        const auto fd = text_after("Reading timer ", *line);
        REQUIRE(fd);
        line = program.read_line();
        REQUIRE(line);
        const auto timer = number(text_after("Timer ", *line).value_or(""));
        REQUIRE((timer >= 1 && timer <= 3));
        CHECK(descriptors.emplace(timer, *fd).first->second == *fd);
        const auto times = text_after("Timer " + std::to_string(timer) + " expired ", *line);
        REQUIRE(times);
        CHECK(times->ends_with(" times"));
        counts[timer] += number(*times);
    }
    CHECK(daemon.checked_ctl({"list", "howto/*/*"}).find("monotonic") != std::string::npos);

    const auto visitor = connect_to_port(static_cast<std::uint16_t>(port));
    await_line(program, "Accepting connection ");
    const auto accepted = program.read_line();
    REQUIRE(accepted);
    CHECK(text_after("Accepted connection ", *accepted));
    CHECK(accepted->find("from ('127.0.0.1', ") != std::string::npos);
    send_command(visitor, "dance");
    await_line(program, "Reading data ");
    CHECK(program.read_line() == "Unknown command: dance");
    {
        const auto other = connect_to_port(static_cast<std::uint16_t>(port));
        await_line(program, "Accepted connection ");
    }
    await_line(program, "Closing connection ");
    const auto last = connect_to_port(static_cast<std::uint16_t>(port));
    await_line(program, "Accepted connection ");
    send_command(last, "stop");
    await_line(program, "Stopping server");
    CHECK(program.wait() == 0);
    CHECK(poll_until([&] { return daemon.checked_ctl({"list"}).empty(); }));
}

TEST_CASE("the bash example prints its usage without a side or descriptors")
{
    const auto words = GENERATE(std::vector<std::string>{}, std::vector{"ask"s});
    CAPTURE(words);
    Command command{.argv = {EVFDD_SOURCE_DIR "/client/examples/shell/ping_pong.sh"}};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    const auto ran = run(command);
    CHECK(ran.status == 2);
    CHECK(ran.err.starts_with("usage: evfdctl exec PING PONG -- "));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

} // namespace
} // namespace evfd::e2e
