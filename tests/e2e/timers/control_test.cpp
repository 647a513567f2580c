// Tests of the verbs of evfdctl for timers, one by one, and of their failures.
#include "tests/paths.h"
#include "tests/support/timers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>

namespace evfd::e2e {
namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t day = 86'400 * second;

std::int64_t wall_clock()
{
    return now_on(Clock::realtime).count();
}

// Returns the timer's state as show --json prints it.
Json show_timer(const DaemonProcess& daemon, const std::string& name = "t")
{
    const auto object = show_json(daemon, name);
    CHECK(object["kind"] == "timer");
    CHECK_FALSE(object.contains("mode"));
    return object["timer"];
}

Json json_line(const std::string& text)
{
    INFO(text);
    REQUIRE(std::ranges::count(text, '\n') == 1);
    REQUIRE(text.ends_with('\n'));
    return Json::parse(text);
}

TEST_CASE("arm sets the first expiration and the interval")
{
    const DaemonProcess daemon;
    const auto [options, first, interval] =
        GENERATE(table<std::vector<std::string>, nanoseconds, nanoseconds>({
            {{"--every", "1h"}, 1h, 1h},
            {{"--every", "2h", "--in", "1m30s"}, 90s, 2h},
            {{"--in", "0s", "--every", "1h"}, 0ns, 1h},
            {{"--in", "3600"}, 1h, 0ns},
            {{"--in", "1h", "--clock", "boottime"}, 1h, 0ns},
            {{"--every", "1h", "--clock=monotonic"}, 1h, 1h},
            {{"--in", "1s", "--every", "9223372036854775807ns"}, 1s, nanoseconds::max()},
        }));
    auto words = std::vector{"arm"s, "t"s};
    words.insert(words.end(), options.begin(), options.end());
    const auto clock = std::ranges::count(options, "boottime") ? Clock::boottime : Clock::monotonic;
    const auto before = now_on(clock);
    CHECK(daemon.checked_ctl(words).empty());
    const auto after = now_on(clock);

    const auto timer = show_timer(daemon);
    CHECK(timer["clock"] == to_string(clock));
    CHECK(timer["intervalNSec"] == interval.count());
    CHECK(timer["movesWithWallClock"] == false);
    CHECK(timer["firstWasPast"] == false);
    CHECK(timer["cancelOnClockChange"] == false);
    CHECK_FALSE(timer.contains("sets"));
    if (interval == nanoseconds::max())
        // With the largest interval, the second expiration is beyond the highest time of the clock.
        // The checks below do not apply to such a timer.
        return;
    CHECK(timer["state"] == "armed");
    const auto point = timer["nextNSec"].get<std::int64_t>() -
                       timer["expirations"].get<std::int64_t>() * interval.count();
    CHECK(point >= (before + first).count());
    CHECK(point <= (after + first).count());
    if (first == 0ns)
        CHECK(timer["expirations"] >= 1);
}

TEST_CASE("arm --json reports whether the timer was created, and applies the options to a new one")
{
    const DaemonProcess daemon;
    CHECK(json_line(daemon.checked_ctl(
              {"arm", "t", "--in", "1h", "--permissions", "0640", "--json"}))["created"] == true);
    CHECK(show_json(daemon, "t")["permissions"] == "0640");
    CHECK(json_line(daemon.checked_ctl(
              {"arm", "t", "--in", "2h", "--permissions", "0600", "--json"}))["created"] == false);
    // The option --permissions has no effect on an existing timer.
    CHECK(show_json(daemon, "t")["permissions"] == "0640");
    CHECK(show_json(daemon, "t")["lifetime"] == "permanent");
    daemon.checked_ctl({"arm", "gone", "--in", "1h", "--temporary"});
    CHECK(poll_until([&] { return daemon.ctl({"show", "gone"}).status == 3; }));

    CHECK(json_line(daemon.checked_ctl({"disarm", "t", "--json"})) == Json::object());
    CHECK(daemon.checked_ctl({"disarm", "t"}).empty());
    const auto timer = show_timer(daemon);
    CHECK(timer["state"] == "disarmed");
    CHECK_FALSE(timer.contains("nextNSec"));
    CHECK_FALSE(timer.contains("leftNSec"));
}

TEST_CASE("disarm of several names disarms all or none")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    daemon.checked_ctl({"arm", "u", "--in", "1h"});
    CHECK(daemon.ctl({"disarm", "t", "missing"}).status == 3);
    CHECK(show_timer(daemon)["state"] == "armed");
    daemon.checked_ctl({"disarm", "t", "u"});
    CHECK(show_timer(daemon)["state"] == "disarmed");
    CHECK(show_timer(daemon, "u")["state"] == "disarmed");
}

TEST_CASE("the option --at accepts times in the usual notations")
{
    const DaemonProcess daemon;
    const auto [options, clock, next] =
        GENERATE(table<std::vector<std::string>, std::string, std::int64_t>({
            {{"--at", "2100-01-31T08:30:00Z"}, "realtime", 4'105'067'400 * second},
            {{"--at", "2100-01-31T08:30:00.5Z"}, "realtime", 4'105'067'400 * second + 500'000'000},
            {{"--at", "2100-01-31t08:30:00+01:00"}, "realtime", 4'105'063'800 * second},
            {{"--at", "2100-01-31 08:30:00-05:30"}, "realtime", 4'105'087'200 * second},
            {{"--at", "@4105067400"}, "realtime", 4'105'067'400 * second},
            {{"--at", "@4105067400.000000001"}, "realtime", 4'105'067'400 * second + 1},
            {{"--at", "@4105067400.25", "--clock", "monotonic"},
             "monotonic",
             4'105'067'400 * second + 250'000'000},
            {{"--at", "@4105067400.25", "--clock", "boottime", "--every", "1s"},
             "boottime",
             4'105'067'400 * second + 250'000'000},
            {{"--at", "2262-04-11T23:47:16.854775807Z"}, "realtime", INT64_MAX},
        }));
    auto words = std::vector{"arm"s, "t"s};
    words.insert(words.end(), options.begin(), options.end());
    INFO(options[1]);
    daemon.checked_ctl(words);
    const auto timer = show_timer(daemon);
    CHECK(timer["clock"] == clock);
    CHECK(timer["movesWithWallClock"] == (clock == "realtime"));
    CHECK(timer["nextNSec"] == next);
    CHECK(timer["state"] == "armed");
    CHECK(timer["expirations"] == 0);
}

TEST_CASE("the option --at with a time of day means the next one in the local time zone")
{
    const DaemonProcess daemon;
    const auto [time, zone, since_midnight] =
        GENERATE(table<std::string, std::string, std::int64_t>({
            {"08:30", "UTC0", 8 * 3'600 + 30 * 60},
            {"08:30", "XST-3:30", 5 * 3'600},
            {"08:30:15", "XST5", 13 * 3'600 + 30 * 60 + 15},
            {"23:59:59", "XST5", 4 * 3'600 + 59 * 60 + 59},
            {"00:00", "XST-14", 10 * 3'600},
        }));
    INFO(time << " in " << zone);
    auto command = daemon.ctl_command({"arm", "t", "--at", time});
    command.environment = {"TZ=" + zone};
    const auto before = wall_clock();
    REQUIRE(run(command).status == 0);
    const auto after = wall_clock();

    const auto timer = show_timer(daemon);
    CHECK(timer["clock"] == "realtime");
    const auto next = timer["nextNSec"].get<std::int64_t>();
    CHECK(next % day == since_midnight * second);
    CHECK(next > before);
    CHECK(next <= after + day);
}

TEST_CASE("a time that has passed expires at once, and show reports it")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "t", "--at", "2001-01-01T00:00:00Z"});
    const auto once = show_timer(daemon);
    CHECK(once["state"] == "expired");
    CHECK(once["firstWasPast"] == true);
    CHECK(once["expirations"] == 1);
    CHECK(daemon.checked_ctl({"show", "t"})
              .contains("1 time, at once: its first expiry had passed\n"));
    CHECK(daemon.ctl({"is-set", "t"}).status == 0);
    daemon.checked_ctl({"wait", "t", "--timeout", "0"});

    daemon.checked_ctl({"arm", "t", "--at", "@1", "--every", "1h"});
    const auto periodic = show_timer(daemon);
    CHECK(periodic["state"] == "armed");
    CHECK(periodic["firstWasPast"] == true);
    CHECK(periodic["expirations"] > 1);
    CHECK(periodic["nextNSec"].get<std::int64_t>() % (3'600 * second) == second);
    CHECK(daemon.checked_ctl({"show", "t"}).contains("at once: its first expiry had passed\n"));

    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    CHECK(show_timer(daemon)["firstWasPast"] == false);
    CHECK_FALSE(daemon.checked_ctl({"show", "t"}).contains("at once"));
}

TEST_CASE("a waiter is released by a time that has passed")
{
    const DaemonProcess daemon;
    OutputReader waiting{daemon.ctl_command({"wait", "t", "--json"})};
    REQUIRE(daemon.has_waits("t", 1));
    const auto words = GENERATE(std::vector{"arm"s, "t"s, "--at"s, "@1"s},
                                std::vector{"arm"s, "t"s, "--at"s, "@1"s, "--every"s, "1h"s});
    daemon.checked_ctl(words);
    CHECK(without_ids(json_line(*waiting.read_line() + '\n')["fired"][0]) ==
          Json{{"name", "t"}, {"count", 1}, {"index", 0}});
    CHECK(waiting.wait() == 0);
}

TEST_CASE("show prints one fact of a timer in each line")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl(
        {"arm", "t", "--in", "1h", "--every", "1m30s", "--sets", "e", "--permissions", "0640"});
    const auto timer = value_or_throw(daemon.client().open_timer("t"));
    const auto armed = daemon.checked_ctl({"show", "t"});
    INFO(armed);
    CHECK(armed.starts_with("t\n  kind         timer\n  id           "));
    CHECK(armed.contains("  state        armed\n"));
    CHECK(armed.contains("  clock        monotonic; setting the wall clock does not move it\n"));
    CHECK(armed.contains(" on its clock, in 59m"));
    CHECK(armed.contains("  interval     1m30s\n"));
    CHECK(armed.contains("  expired      0 times\n"));
    CHECK(armed.contains("  sets         e\n"));
    CHECK(armed.contains("  subscribers  1\n"));
    CHECK(armed.contains("  waits        0\n"));
    CHECK(armed.contains("  permissions  0640 of "));
    CHECK_FALSE(armed.contains('\x1b'));

    daemon.checked_ctl({"disarm", "t"});
    const auto disarmed = daemon.checked_ctl({"show", "t"});
    CHECK(disarmed.contains("  state        disarmed\n"));
    CHECK_FALSE(disarmed.contains("  next "));

    daemon.checked_ctl({"arm", "u", "--at", "2100-01-31T08:30:00.5Z"});
    auto show_in_zone = daemon.ctl_command({"show", "u"});
    show_in_zone.environment.push_back("TZ=XYZ-2");
    const auto absolute = run(show_in_zone).out;
    CHECK(absolute.contains("  clock        realtime; setting the wall clock moves it\n"));
    CHECK(absolute.contains("  next         2100-01-31 10:30:00 XYZ, in "));
    CHECK(absolute.contains("  interval     none: it expires once\n"));
}

TEST_CASE("list prints timers and events in a pipe, as JSON and on a terminal")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", "auto"});
    daemon.checked_ctl({"arm", "t", "--in", "1h", "--permissions", "0600"});
    daemon.checked_ctl({"arm", "u", "--at", "@1"});
    daemon.checked_ctl({"arm", "v", "--in", "1h", "--clock", "boottime"});
    daemon.checked_ctl({"disarm", "v"});

    const auto piped = daemon.checked_ctl({"list"});
    INFO(piped);
    CHECK(piped.starts_with("e\tevent\tauto\tclear\t"));
    CHECK(piped.contains("\nt\ttimer\tmonotonic\tin 59m"));
    CHECK(piped.contains("\t0600\t"));
    CHECK(piped.contains("\nu\ttimer\trealtime\texpired\t"));
    CHECK(piped.contains("\nv\ttimer\tboottime\tdisarmed\t"));
    CHECK(std::ranges::count(piped, '\n') == 4);

    const auto one = json_line(daemon.checked_ctl({"list", "t", "--json"}));
    CHECK(one["timer"]["state"] == "armed");
    CHECK(one["subscribers"] == 0);

    const UniqueFd terminal{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
    REQUIRE(::grantpt(terminal.get()) == 0);
    REQUIRE(::unlockpt(terminal.get()) == 0);
    const UniqueFd end{::open(::ptsname(terminal.get()), O_RDWR | O_NOCTTY | O_CLOEXEC)};
    REQUIRE(end);
    auto command = daemon.ctl_command({"list"});
    command.standard_output = end.get();
    REQUIRE(start(command).wait() == 0);
    std::string table;
    // Reads in a loop, because one read(2) from a terminal can return a single line.
    while (std::ranges::count(table, '\n') < 5) {
        INFO(table);
        std::array<char, 4096> part{};
        REQUIRE(await_readable(terminal.get()));
        const auto got = ::read(terminal.get(), part.data(), part.size());
        REQUIRE(got > 0);
        table.append(part.data(), static_cast<std::size_t>(got));
    }
    INFO(table);
    CHECK(table.starts_with("NAME  KIND   MODE       STATE"));
    CHECK(table.contains("\nu     timer  realtime   expired"));
}

TEST_CASE("wait waits for the next expirations, and a one-shot timer that expired stays set")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "t", "--every", "20ms"});
    CHECK(daemon.checked_ctl({"wait", "t"}).empty());
    CHECK(daemon.checked_ctl({"wait", "t", "--any"}) == "t\n");
    const auto grid = grid_of(daemon.client(), "t");
    const auto before = now_on(Clock::monotonic);
    const auto fired =
        json_line(daemon.checked_ctl({"wait", "t", "--count", "3", "--json"}))["fired"];
    const auto points = grid.expirations_by(now_on(Clock::monotonic)) - grid.expirations_by(before);
    REQUIRE(fired.size() == 1);
    CHECK(fired[0]["name"] == "t");
    CHECK(fired[0]["count"] >= 3);
    CHECK(fired[0]["count"] <= points);

    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    daemon.checked_ctl({"wait", "t"});
    // Waits twice: a wait does not consume the expiration, so the timer stays expired.
    for (int i = 0; i < 2; ++i)
        CHECK(without_ids(json_line(
                  daemon.checked_ctl({"wait", "t", "--timeout", "0", "--json"}))["fired"][0]) ==
              Json{{"name", "t"}, {"count", 1}, {"index", 0}});
    CHECK(daemon.ctl({"wait", "t", "--count", "2", "--timeout", "10ms"}).status == 124);

    daemon.checked_ctl({"disarm", "t"});
    CHECK(daemon.ctl({"wait", "t", "--timeout", "10ms"}).status == 124);
    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    CHECK(daemon.ctl({"wait", "t", "--timeout", "0"}).status == 124);
}

TEST_CASE("a wait for a future timer ends when the timer expires")
{
    const DaemonProcess daemon;
    OutputReader one{daemon.ctl_command({"wait", "t"})};
    OutputReader three{daemon.ctl_command({"wait", "t", "--count", "3"})};
    REQUIRE(daemon.has_waits("t", 2));
    daemon.checked_ctl({"arm", "t", "--in", "30ms"});
    CHECK(one.wait() == 0);
    REQUIRE(daemon.has_waits("t", 1));
    daemon.checked_ctl({"arm", "t", "--every", "5ms"});
    CHECK(three.wait() == 0);
}

TEST_CASE("a wait continues when its timer is armed again or disarmed, and ends when it is deleted")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    OutputReader one{daemon.ctl_command({"wait", "t"})};
    OutputReader other{daemon.ctl_command({"wait", "t"})};
    REQUIRE(daemon.has_waits("t", 2));
    daemon.checked_ctl({"arm", "t", "--in", "2h"});
    daemon.checked_ctl({"disarm", "t"});
    CHECK(daemon.has_waits("t", 2));
    daemon.checked_ctl({"delete", "t"});
    CHECK(one.wait() == 6);
    CHECK(other.wait() == 6);
    CHECK(one.errors().contains("'t' was deleted during the wait"));
    CHECK(daemon.ctl({"show", "t"}).status == 3);
}

TEST_CASE("wait --any and --all accept timers and events together")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", "auto"});
    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    OutputReader any{daemon.ctl_command({"wait", "--any", "t", "e"})};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.checked_ctl({"set", "e"});
    CHECK(any.read_line() == "e");
    CHECK(any.wait() == 0);

    OutputReader all{daemon.ctl_command({"wait", "t", "e", "--json"})};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.checked_ctl({"arm", "t", "--in", "5ms"});
    OutputReader timer{daemon.ctl_command({"wait", "--any", "e", "t"})};
    CHECK(timer.read_line() == "t");
    // The wait that needs "t" and "e" is still pending, because "e" is not set.
    CHECK(daemon.has_waits("e", 1));
    daemon.checked_ctl({"set", "e"});
    CHECK(without_ids(Json::parse(*all.read_line())) ==
          Json::parse(R"({"fired":[{"name":"t","count":1,"index":0},)"
                      R"({"name":"e","count":1,"index":1}]})"));
    CHECK(all.wait() == 0);
    CHECK(daemon.ctl({"is-set", "e"}).status == 1);
}

TEST_CASE("is-set reports whether a timer has expired")
{
    const DaemonProcess daemon;
    const auto [words, is_set] = GENERATE(table<std::vector<std::string>, bool>({
        {{"arm", "t", "--in", "1h"}, false},
        {{"arm", "t", "--at", "@1", "--every", "1h"}, false},
        {{"arm", "t", "--at", "@1"}, true},
        {{"disarm", "t"}, false},
    }));
    if (words.front() == "disarm")
        daemon.checked_ctl({"arm", "t", "--at", "@1"});
    daemon.checked_ctl(words);
    CHECK(daemon.ctl({"is-set", "t"}).status == (is_set ? 0 : 1));
    CHECK(json_line(daemon.ctl({"is-set", "t", "--json"}).out) == Json{{"isSet", is_set}});
    CHECK(show_json(daemon, "t")["isSet"] == is_set);
}

TEST_CASE("monitor reports the creation, expirations, arming, disarming and deletion of a timer")
{
    const DaemonProcess daemon;
    OutputReader text{daemon.ctl_command({"monitor", "t"})};
    OutputReader json{daemon.ctl_command({"monitor", "t", "--json"})};
    REQUIRE(text.read_line() == "ready");
    REQUIRE(Json::parse(*json.read_line())["change"] == "ready");
    const auto next = [&] { return Json::parse(*json.read_line()); };

    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    CHECK(text.read_line()->starts_with("created\tt\tmonotonic\tin 59m"));
    const auto created = next();
    CHECK(created["change"] == "created");
    CHECK(created["object"]["timer"]["state"] == "armed");

    daemon.checked_ctl({"disarm", "t"});
    CHECK(text.read_line() == "changed\tt\tmonotonic\tdisarmed");
    CHECK(next()["object"]["timer"]["state"] == "disarmed");

    daemon.checked_ctl({"arm", "t", "--at", "@1"});
    auto update = next();
    while (update["object"]["timer"]["state"] != "expired")
        update = next();
    CHECK(update["change"] == "changed");
    CHECK(update["object"]["isSet"] == true);

    daemon.checked_ctl({"arm", "t", "--every", "10ms"});
    for (std::int64_t expirations = 0; expirations < 3;) {
        update = next();
        CHECK(update["change"] == "changed");
        if (update["object"]["timer"]["state"] == "expired")
            continue;
        CHECK(update["object"]["timer"]["expirations"] >= expirations);
        expirations = update["object"]["timer"]["expirations"];
    }
    daemon.checked_ctl({"delete", "t"});
    while (update["change"] != "deleted")
        update = next();
    CHECK(update["name"] == "t");
    auto line = text.read_line();
    while (line && *line != "deleted\tt")
        line = text.read_line();
    CHECK(line == "deleted\tt");
}

TEST_CASE("the help of every timer verb names its options")
{
    const auto [verb, option] = GENERATE(table<std::string, std::string>({
        {"arm", "--in"},
        {"arm", "--at"},
        {"arm", "--every"},
        {"arm", "--clock"},
        {"arm", "--sets"},
        {"arm", "--cancel-on-clock-change"},
        {"arm", "--permissions"},
        {"arm", "--temporary"},
        {"arm", "realtime-alarm"},
        {"disarm", "--json"},
        {"wait", "--count"},
    }));
    INFO(verb << ' ' << option);
    const auto help = run({.argv = {EVFDD_CTL, verb, "--help"}});
    CHECK(help.status == 0);
    CHECK(help.out.contains(option));
    CHECK(run({.argv = {EVFDD_CTL, "--help"}}).out.contains("cancelled while waiting"));
}

struct Case {
    std::vector<std::string> words;
    Status status;
    std::string message;
};

void check_failures(const DaemonProcess& daemon, const std::vector<Case>& cases)
{
    for (const auto& one : cases) {
        std::string line;
        for (const auto& word : one.words)
            line += word + ' ';
        INFO(line);
        const auto ran = daemon.ctl(one.words);
        INFO(ran.err);
        CHECK(ran.status == one.status);
        CHECK(ran.out.empty());
        CHECK(ran.err.starts_with("evfdctl: "));
        CHECK(std::ranges::count(ran.err, '\n') == 1);
        CHECK(ran.err.ends_with('\n'));
        CHECK(ran.err.contains(one.message));
    }
}

TEST_CASE("a refusal names a clock as it was typed")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "t", "--in", "1h", "--clock", "monotonic"});
    // Keeps the timer open, because the daemon refuses to change the clock of an open timer.
    const auto open = value_or_throw(daemon.client().open_timer("t"));
    const auto ran = daemon.ctl({"arm", "t", "--in", "1h", "--clock", "boottime-alarm"});
    INFO(ran.err);
    CHECK(ran.status != 0);
    CHECK(ran.err.contains("the clock boottime-alarm"));
    CHECK_FALSE(ran.err.contains("boottime_alarm"));
}

TEST_CASE("an invalid timer specification is a usage error and changes nothing")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    check_failures(
        daemon,
        {
            {{"arm"}, 2, "--help"},
            {{"arm", "t"}, 2, "'t' has no time to expire at; give --after, --at or --every"},
            {{"arm", "t", "--in"}, 2, "--in"},
            {{"arm", "t", "--in=-5s"}, 2, "'-5s' is not a duration"},
            {{"arm", "t", "--in", "soon"}, 2, "'soon' is not a duration"},
            {{"arm", "t", "--in", "1s1m"}, 2, "is not a duration"},
            {{"arm", "t", "--in", "0.1ns"}, 2, "is not a duration"},
            {{"arm", "t", "--every=-1ms"}, 2, "'-1ms' is not a duration"},
            {{"arm", "t", "--every", "often"}, 2, "'often' is not a duration"},
            {{"arm", "t", "--in", "9223372036854775808ns"}, 2, "is not a duration"},
            {{"arm", "t", "--in", "300000d"}, 2, "is not a duration"},
            {{"arm", "t", "--in", "9223372036854775807ns"}, 2, "after the year 2262"},
            {{"arm", "t", "--every", "9223372036854775807ns"}, 2, "after the year 2262"},
            {{"arm", "t", "--every", "0"}, 2, "a timer needs a first expiry or an interval"},
            {{"arm", "t", "--in", "0s"}, 2, "a first expiry at 0 with no interval means never"},
            {{"arm", "t", "--in", "0", "--every", "0"}, 2, "with no interval means never"},
            {{"arm", "t", "--at", "@0"}, 2, "a first expiry at 0 with no interval means never"},
            {{"arm", "t", "--in", "1s", "--at", "08:30"}, 2, "--help"},
            {{"arm", "t", "--at", "tomorrow"}, 2, "'tomorrow' is not a valid time"},
            {{"arm", "t", "--at", "24:00"}, 2, "'24:00' is not a valid time"},
            {{"arm", "t", "--at", "8:30"}, 2, "'8:30' is not a valid time"},
            {{"arm", "t", "--at", "12:60"}, 2, "'12:60' is not a valid time"},
            {{"arm", "t", "--at", "12:00:60"}, 2, "'12:00:60' is not a valid time"},
            {{"arm", "t", "--at", "2026-02-30T00:00:00Z"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "2026-01-31T08:30:00"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "2026-01-31"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "1969-12-31T23:59:59Z"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "2262-04-11T23:47:16.854775808Z"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "@-1"}, 2, "'@-1' is not a valid time"},
            {{"arm", "t", "--at", "@"}, 2, "'@' is not a valid time"},
            {{"arm", "t", "--at", "@1e3"}, 2, "'@1e3' is not a valid time"},
            {{"arm", "t", "--at", "@1.0000000001"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "@9223372037"}, 2, "is not a valid time"},
            {{"arm", "t", "--in", "1s", "--clock", "lunar"}, 2, "--clock"},
            {{"arm", "t", "--in", "1s", "--clock", "realtime_alarm"}, 2, "--clock"},
            {{"arm", "t", "--at", "08:30", "--clock", "monotonic"},
             2,
             "the clock monotonic has no time of day"},
            {{"arm", "t", "--at", "2100-01-01T00:00:00Z", "--clock", "boottime"},
             2,
             "the clock boottime has no time of day"},
            {{"arm", "t", "--in", "1s", "--cancel-on-clock-change"}, 2, "only a time on the"},
            {{"arm", "t", "--every", "1s", "--cancel-on-clock-change", "--clock", "realtime"},
             2,
             "only a time on the realtime clock"},
            {{"arm", "t", "--at", "@9e9", "--cancel-on-clock-change"}, 2, "is not a valid time"},
            {{"arm", "t", "--at", "@9000000000", "--clock", "monotonic",
              "--cancel-on-clock-change"},
             2,
             "only a time on the realtime clock"},
            {{"arm", "t", "--in", "1s", "--permissions", "1777"}, 2, "is not a set of permissions"},
            {{"arm", "a//b", "--in", "1s"}, 2, "'a//b' is not a valid name"},
            {{"arm", "t", "--in", "1s", "--sets", "t"}, 2, "'t' cannot set itself"},
            {{"arm", "t", "--in", "1s", "--sets", "a//b"}, 2, "'a//b' is not a valid name"},
            {{"arm", "t", "--every", "500us", "--sets", "e"}, 2, "at least 1 ms"},
            {{"arm", "t", "u", "--in", "1s"}, 2, "--help"},
            {{"disarm"}, 2, "--help"},
            {{"disarm", "t", "t"}, 2, "once"},
            {{"wait", "t", "--count", "0"}, 2, "at least one expiry"},
            {{"wait", "t", "--count", "9223372036854775808"}, 2, "63 bits"},
            {{"wait", "t", "--count", "-1"}, 2, "at least one expiry"},
            {{"wait", "t", "--count", "many"}, 2, "--count"},
        });
    CHECK(value_or_throw(daemon.client().status()).objects == 1);
}

TEST_CASE("a call for the wrong kind of object is refused and changes nothing")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    daemon.checked_ctl({"arm", "t", "--in", "1h"});
    const auto before = show_timer(daemon)["nextNSec"];
    const auto timer = value_or_throw(daemon.client().open_timer("t"));
    check_failures(
        daemon,
        {
            {{"arm", "e", "--in", "1s"}, 7, "'e' is a manual event, not a timer"},
            {{"disarm", "e"}, 7, "'e' is a manual event, not a timer"},
            {{"disarm", "t", "e"}, 7, "'e' is a manual event, not a timer"},
            {{"disarm", "missing"}, 3, "no object named 'missing'"},
            {{"set", "t"}, 7, "'t' is a timer, not an event"},
            {{"set", "e", "t"}, 7, "'t' is a timer, not an event"},
            {{"clear", "t"}, 7, "'t' is a timer, not an event"},
            {{"create", "t"}, 7, "'t' is a timer, not a manual event"},
            {{"create", "t", "--mode", "auto", "--if-missing"}, 7, "'t' is a timer, not an auto"},
            {{"arm", "t", "--in", "1s", "--sets", "missing"}, 3, "no object named 'missing'"},
            {{"arm", "u", "--in", "1s", "--sets", "t"}, 7, "'t' is a timer, not an event"},
            {{"arm", "t", "--in", "1s", "--clock", "boottime"}, 7, "for all its subscribers"},
            {{"wait", "e", "--count", "2"}, 7, "'e' is a manual event, not a timer or a pulse"},
            {{"wait", "t", "e", "--count", "2"}, 7, "not a timer or a pulse"},
            {{"wait", "s", "--count", "2"}, 2, "wait once for each"},
            {{"wait", "missing", "--existing"}, 3, "'missing'"},
            {{"wait", "t", "--timeout", "1ms"}, 124, "wait timed out"},
            {{"wait", "t", "missing", "--timeout", "1ms"}, 124, "wait timed out"},
        });
    CHECK(show_timer(daemon)["nextNSec"] == before);
    CHECK(show_timer(daemon)["state"] == "armed");
    CHECK(daemon.ctl({"is-set", "e"}).status == 1);
    CHECK(value_or_throw(daemon.client().status()).objects == 3);
}

TEST_CASE("arm and disarm need write permission, and wait and show need read permission")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto [permissions, waits, arms] =
        GENERATE(table<std::string, bool, bool>({{"0666", true, true},
                                                 {"0664", true, false},
                                                 {"0662", false, true},
                                                 {"0660", false, false}}));
    INFO(permissions);
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.at = 1s}, {.permissions = Permissions::parse(permissions)}));
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        const std::vector names{"t"s};
        const auto check_access = [](const auto& tried, bool may, std::string_view what) {
            require(tried.has_value() == may, what);
            require(may || tried.error().code == ErrorCode::refused, what);
        };
        check_access(worker_client.wait(names, {.timeout = 0ns}), waits, "wait");
        const auto shown = worker_client.show("t");
        check_access(shown, waits || arms, "show");
        if (shown)
            require(shown->timer.has_value() == waits, "state");
        const auto timer = worker_client.open_timer("t");
        check_access(timer, waits || arms, "open");
        if (timer) {
            require((timer->fd() >= 0) == waits, "descriptor");
            check_access(timer->wait(0ns), waits, "wait on it");
            check_access(timer->remaining(), waits, "remaining");
            check_access(timer->arm({.after = 1h}), arms, "arm it");
            check_access(timer->disarm(), arms, "disarm it");
        }
        check_access(worker_client.arm("t", {.after = 1h}), arms, "arm");
        check_access(worker_client.disarm(names), arms, "disarm");
        check_access(worker_client.delete_object(names), false, "delete");
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("the library reports each failure of a timer by its error code")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e"));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    REQUIRE(client.arm("t", {.after = 1h}));
    const auto timer = value_or_throw(client.open_timer("t"));
    const std::vector<std::pair<Schedule, std::string>> invalid{
        {{}, "a first expiry or an interval"},
        {{.after = -1ns}, "cannot be negative"},
        {{.interval = -1ns}, "cannot be negative"},
        {{.after = 1s, .interval = -1ns}, "cannot be negative"},
        {{.at = -1ns}, "before the clock's zero"},
        {{.after = 1s, .at = 1s}, "not both"},
        {{.after = 0ns}, "means never"},
        {{.at = 0ns}, "means never"},
        {{.after = nanoseconds::max()}, "2262"},
        {{.interval = nanoseconds::max()}, "2262"},
        {{.after = 1s, .cancel_on_clock_change = true}, "only a time"},
        {{.at = 1s, .clock = Clock::boottime, .cancel_on_clock_change = true}, "only a time"},
        {{.after = 1s, .sets = "t"}, "cannot set itself"},
        {{.after = 1s, .sets = "a//b"}, "is not a valid name"},
        {{.interval = 1us, .sets = "e"}, "1 ms"},
    };
    for (const auto& [schedule, message] : invalid) {
        INFO(message);
        for (const auto& error : {client.arm("t", schedule).error(), timer.arm(schedule).error()}) {
            INFO(error.message);
            CHECK(error.code == ErrorCode::invalid);
            CHECK(error.message.contains(message));
        }
    }
    CHECK(client.arm("a//b", {.after = 1s}).error().code == ErrorCode::invalid);
    CHECK(client.arm("e", {.after = 1s}).error().code == ErrorCode::name_taken);
    CHECK(client.arm("t", {.after = 1s, .sets = "missing"}).error().code ==
          ErrorCode::no_such_name);
    CHECK(timer.arm({.after = 1s, .clock = Clock::realtime}).error().code == ErrorCode::name_taken);
    CHECK(client.disarm(std::vector{"e"s}).error().code == ErrorCode::name_taken);
    CHECK(client.disarm(std::vector{"missing"s}).error().code == ErrorCode::no_such_name);
    CHECK(client.disarm(std::vector<std::string>{}).error().code == ErrorCode::invalid);
    CHECK(client.set(std::vector{"t"s}).error().code == ErrorCode::name_taken);
    CHECK(client.clear(std::vector{"t"s}).error().code == ErrorCode::name_taken);
    CHECK(client.create("t").error().code == ErrorCode::name_taken);
    CHECK(client.open_timer("missing").error().code == ErrorCode::no_such_name);
    CHECK(client.open_timer("a//b").error().code == ErrorCode::invalid);
    CHECK(client.wait(std::vector{"t"s}, {.count = 0}).error().code == ErrorCode::invalid);
    CHECK(client.wait(std::vector{"e"s}, {.count = 2}).error().code == ErrorCode::name_taken);
    CHECK(client.wait(std::vector{"t"s}, {.timeout = 0ns}).error().code == ErrorCode::timed_out);

    // Opens events with open_timer(), which must fail and leave no subscription.
    for (const auto* kind : {"e", "p"}) {
        const auto opened = client.open_timer(kind);
        REQUIRE_FALSE(opened);
        CHECK(opened.error().code == ErrorCode::name_taken);
        CHECK(opened.error().message.contains("open()"));
    }
    const auto as_event = client.open("t");
    REQUIRE_FALSE(as_event);
    CHECK(as_event.error().code == ErrorCode::name_taken);
    CHECK(as_event.error().message.contains("open_timer()"));
    CHECK(poll_until([&] { return value_or_throw(client.status()).subscriptions == 1; }));

    const auto object = value_or_throw(client.show("t"));
    CHECK(object.timer->state == TimerState::armed); // The timer is unchanged.
    CHECK(object.timer->interval == 0ns);
    CHECK_FALSE(object.timer->sets);
}

TEST_CASE("the verbs for timers end with status 5 when no daemon answers")
{
    const TemporaryDirectory directory;
    const std::vector<std::string> words =
        GENERATE(std::vector{"arm"s, "t"s, "--in"s, "1s"s}, std::vector{"disarm"s, "t"s});
    Command command{.argv = {EVFDD_CTL, "--socket", directory / "nobody"}};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    const auto ran = run(command);
    CHECK(ran.status == 5);
    CHECK(ran.err.contains("no evfdd answers at"));
}

} // namespace
} // namespace evfd::e2e
