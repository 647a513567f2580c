#include "tests/support/config_fixture.h"

#include <fmt/format.h>
#include <unistd.h>

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

std::string event_error(std::string_view event)
{
    return error_text(fmt::format("{{\"events\": [\n{}]}}", event));
}

std::string timer_error(std::string_view timer)
{
    return error_text(fmt::format("{{\"timers\": [\n{}]}}", timer));
}

TEST_CASE("config: a declared event is a request to create it")
{
    const auto config = load_valid_config(R"({"events": [
        {"name": "plain"},
        {"name": "all", "mode": "semaphore", "initial": 4294967295, "permissions": "0660",
         "owner": "root", "group": 7}]})");
    REQUIRE(config.events.size() == 2);
    const auto& [plain, ours] = config.events[0];
    CHECK(plain.name.text() == "plain");
    CHECK_FALSE(plain.mode);
    CHECK(plain.lifetime == Lifetime::permanent);
    CHECK(plain.if_missing == true);
    CHECK(ours == DeclaredOwner{::geteuid(), ::getegid()});

    const auto& [all, theirs] = config.events[1];
    CHECK(all.mode == Mode::semaphore);
    CHECK(all.initial == protocol::InitialCount{4294967295});
    CHECK(all.permissions == Permissions::parse("0660"));
    CHECK(theirs == DeclaredOwner{0, 7});
}

TEST_CASE("config: equal texts are equal configurations, and different ones differ")
{
    const auto text = [](std::string_view event, std::string_view timer, std::string_view verbs) {
        return fmt::format(
            R"({{"events": [{{"name": "{}"}}], "timers": [{{"name": "t", "every": "{}"}}],
                "policy": {{"rules": [{{"prefix": "a", "allow": ["{}"]}}]}}}})",
            event, timer, verbs);
    };
    const auto config = load_valid_config(text("e", "1s", "wait"));
    CHECK(config == load_valid_config(text("e", "1s", "wait")));
    CHECK_FALSE(config == load_valid_config(text("f", "1s", "wait")));
    CHECK_FALSE(config == load_valid_config(text("e", "2s", "wait")));
    CHECK_FALSE(config == load_valid_config(text("e", "1s", "set")));
}

TEST_CASE("config: a declared timer is a request to arm it")
{
    const auto config = load_valid_config(R"({"timers": [
        {"name": "tick", "every": "1s", "in": "500ms", "clock": "boottime", "sets": "later",
         "permissions": "640", "owner": "12"},
        {"name": "noon", "cancelOnClockChange": true, "group": 13, "at": "2036-01-31T12:00:00+01:00"},
        {"name": "zero", "clock": "monotonic", "at": "@12.5", "every": "24h"}]})");
    REQUIRE(config.timers.size() == 3);
    const auto& tick = config.timers[0].request;
    CHECK(tick.interval == 1s);
    CHECK(tick.after == 500ms);
    CHECK(tick.clock == Clock::boottime);
    CHECK(tick.sets == Name::parse("later"));
    CHECK(tick.permissions == Permissions::parse("0640"));
    CHECK(tick.lifetime == Lifetime::permanent);
    CHECK(config.timers[0].owner == DeclaredOwner{12, ::getegid()});

    CHECK(config.timers[1].request.first == 2'085'390'000s);
    CHECK(config.timers[1].request.cancel_on_clock_change == true);
    CHECK(config.timers[1].owner == DeclaredOwner{::geteuid(), 13});
    CHECK(config.timers[2].request.first == 12'500ms);
    CHECK(config.timers[2].request.interval == 24h);
}

TEST_CASE("config: an error in a declared event is reported with its key")
{
    const auto [event, expected] = GENERATE(table<std::string, std::string>({
        {"7", "events[0]: 7 is not valid; give an object, as {\"name\": \"a\"}"},
        {"{}", "events[0]: it has no name; give one, as \"name\": \"a\""},
        {R"({"name": "a//b"})",
         "events[0].name: \"a//b\" is not valid; give 1 to 255 bytes, segments of "
         "[A-Za-z0-9._@:+-] joined by single slashes, none of them . or .."},
        {R"({"name": "a", "mood": 1})",
         "events[0].mood: there is no such key; take it out, or give one of name, mode, initial, "
         "permissions, owner, group"},
        {R"({"name": "a", "mode": "loud"})",
         "events[0].mode: \"loud\" is not valid; give manual, auto, semaphore or pulse"},
        {R"({"name": "a", "initial": -1})",
         "events[0].initial: -1 is not valid; give a whole number, 0 to 4294967295"},
        {R"({"name": "a", "initial": 4294967296})",
         "events[0].initial: 4294967296 is not valid; give a whole number, 0 to 4294967295"},
        {R"({"name": "a", "mode": "pulse", "initial": 1})",
         "events[0].initial: a pulse has no count to start with; give 0, or take it out"},
        {R"({"name": "a", "permissions": "2755"})", "events[0].permissions: \"2755\" is not valid; "
                                                    "give octal permissions in quotes of r and w "
                                                    "alone, "
                                                    "such as \"0664\""},
        {R"({"name": "a", "owner": 4294967295})", "events[0].owner: 4294967295 is not a user; give "
                                                  "the name of an existing one, or a number"},
        {R"({"name": "a", "group": true})",
         "events[0].group: true is not a group; give the name of an existing one, or a number"},
    }));
    CAPTURE(event);
    CHECK(event_error(event) == "evfdd.json:2: " + expected);
}

TEST_CASE("config: an object of an unknown owner or group is a warning and is not created")
{
    const auto [object, error] = GENERATE(table<std::string, std::string>({
        {R"("events": [{"name": "a", "owner": "no-such"}])", "events[0].owner: there is no user"},
        {R"("events": [{"name": "a", "group": "no-such"}])", "events[0].group: there is no group"},
        {R"("timers": [{"name": "a", "owner": "no-such", "every": "1s"}])",
         "timers[0].owner: there is no user"},
        {R"("timers": [{"name": "a", "group": "no-such", "every": "1s"}])",
         "timers[0].group: there is no group"},
    }));
    CAPTURE(object);
    const ConfigFiles files{"{" + object + "}"};
    const auto config = files.load();
    REQUIRE(config);
    CHECK(config->events.empty());
    CHECK(config->timers.empty());
    CHECK(config->warnings == std::vector{files.main() + ":1: " + error +
                                          " \"no-such\", so 'a' is not created; create the account "
                                          "and reload, or name another"});
}

TEST_CASE("config: an error in a declared timer is reported with its key")
{
    const auto [timer, expected] = GENERATE(table<std::string, std::string>({
        {R"({"every": "1s"})", "timers[0]: it has no name; give one, as \"name\": \"a\""},
        {R"({"name": "t"})", "timers[0]: it does not say when; give every, in or at"},
        {R"({"name": "t", "every": "0s"})",
         "timers[0].every: that never expires; give more than 0"},
        {R"({"name": "t", "in": "0s"})", "timers[0].in: that never expires; give more than 0"},
        {R"({"name": "t", "at": "@0"})", "timers[0].at: that never expires; give more than 0"},
        {R"({"name": "t", "in": "106751d23h47m16s"})", "timers[0].in: that is too long; give less"},
        {R"({"name": "t", "every": "106751d23h47m16s"})",
         "timers[0].every: that is too long; give less"},
        {R"({"name": "t", "every": 1})",
         "timers[0].every: 1 is not valid; give a duration in quotes, such as \"1.5s\" or "
         "\"1m30s\""},
        {R"({"name": "t", "in": "1s", "at": "@1"})",
         "timers[0].in: a timer begins at a time or after a duration, not both; take one out"},
        {R"({"name": "t", "at": "03:00"})",
         "timers[0].at: \"03:00\" is not valid; give a time in quotes, such as "
         "\"2026-01-31T08:30:00Z\" or \"@SECONDS\" since the clock's zero, from 1970 to 2262"},
        {R"({"name": "t", "at": "2026-01-31T08:30:00Z", "clock": "boottime"})",
         "timers[0].at: the clock boottime knows no time of day; give \"@SECONDS\" since its zero"},
        {R"({"name": "t", "every": "1s", "clock": "lunar"})",
         "timers[0].clock: \"lunar\" is not valid; give realtime, monotonic, boottime, "
         "realtime_alarm or boottime_alarm"},
        {R"({"name": "t", "every": "1s", "sets": "t"})",
         "timers[0].sets: a timer cannot set itself; name an event"},
        {R"({"name": "t", "every": "999us", "sets": "e"})",
         "timers[0].every: a timer can set an event at most every 1ms; give more"},
        {R"({"name": "t", "every": "1s", "cancelOnClockChange": true})",
         "timers[0].cancelOnClockChange: only a time on a realtime clock is cancelled by a change "
         "of that; give \"at\", or false"},
        {R"({"name": "t", "every": "1s", "cancelOnClockChange": 1})",
         "timers[0].cancelOnClockChange: 1 is not valid; give true or false"},
    }));
    CAPTURE(timer);
    CHECK(timer_error(timer) == "evfdd.json:2: " + expected);
}

TEST_CASE("config: an error is reported with its element and its line")
{
    CHECK(error_text("{\n\"events\": [\n{\"name\": \"a\"},\n{\"name\": \"b\"},\n"
                     "{\"name\": \"c\",\n // the third\n \"mode\": 3}]}") ==
          "evfdd.json:7: events[2].mode: 3 is not valid; give manual, auto, semaphore or pulse");
}

TEST_CASE("config: a declared time in the past is valid")
{
    CHECK(timer_error(R"({"name": "t", "at": "1999-12-31T23:59:59Z"})").empty());
}

TEST_CASE("config: a repeated declaration counts once")
{
    const ConfigFiles files{R"({"events": [{"name": "a", "mode": "auto"}]})"};
    files.write("conf.d/a.json", R"({"events": [{"mode": "auto", "name": "a"}]})");
    const auto config = files.load();
    REQUIRE(config);
    CHECK(config->events.size() == 1);
}

TEST_CASE("config: two different declarations of one name are an error")
{
    const ConfigFiles files{"{\n\"events\": [{\"name\": \"a\", \"mode\": \"auto\"}]}"};
    const auto* second = GENERATE("{\"events\": [{\"name\": \"a\"}]}",
                                  "{\"events\": [{\"name\": \"a\", \"mode\": \"auto\", "
                                  "\"owner\": 4242}]}");
    files.write("conf.d/a.json", second);
    CHECK(error_text(files) ==
          "conf.d/a.json:1: events[0].name: 'a' is declared differently at evfdd.json:2; take one "
          "of them out, or give it another name");
}

TEST_CASE("config: an event and a timer cannot have the same name")
{
    CHECK(error_text("{\"events\": [{\"name\": \"a\"}],\n"
                     "\"timers\": [{\"name\": \"a\", \"every\": \"1s\"}]}") ==
          "evfdd.json:2: timers[0].name: 'a' is declared differently at evfdd.json:1; take one of "
          "them out, or give it another name");
}

} // namespace
} // namespace evfd::daemon
