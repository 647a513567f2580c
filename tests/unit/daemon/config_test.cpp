#include "daemon/config/config.h"

#include "tests/paths.h"
#include "tests/support/config_fixture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iterator>

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

std::string contents_of(const std::string& file)
{
    std::ifstream stream{file};
    return {std::istreambuf_iterator<char>{stream}, {}};
}

// Drops root's effective uid while it lives, since root can read every file.
class NonRootScope {
public:
    NonRootScope()
    {
        if (before_ == 0)
            REQUIRE(::seteuid(nobody) == 0);
    }
    ~NonRootScope()
    {
        if (::seteuid(before_) < 0)
            std::abort();
    }
    NonRootScope(const NonRootScope&) = delete;
    NonRootScope& operator=(const NonRootScope&) = delete;

private:
    static constexpr uid_t nobody = 65'534;
    uid_t before_ = ::geteuid();
};

TEST_CASE("config: an absent setting has its default")
{
    const auto text = GENERATE("{}", "// nothing\n{ /* at all */ }\n", "{\"limits\": {}}");
    CHECK(load_valid_config(text) == Config{});
}

TEST_CASE("config: every setting can be given")
{
    const auto config = load_valid_config(R"({
        "socketMode": "0660", "logLevel": "debug", "resumeGrace": "1m30s",
        "limits": {"objects": 1, "connections": 2, "subscriptions": 3, "waits": 4, "monitors": 5,
                   "ticksPerSecond": 6, "unreadBytes": 7, "unreadDescriptors": 8,
                   "callsPerIteration": 9},
        "userLimits": [{"user": 1000, "waits": 3}, {"user": "root", "objects": 4},
                       {"user": "1000", "monitors": 2}],
        "policy": {"default": "deny"}
    })");
    CHECK(config.socket_mode == 0660);
    CHECK(config.log_level == log::Level::debug);
    CHECK(config.resume_grace == 90s);
    CHECK(config.limits == Limits{{1, 2, 3, 4, 5, 6, 7, 8, 9}});
    const auto limit_table = config.limit_table();
    CHECK(limit_table.for_user(42) == config.limits);
    CHECK(limit_table.for_user(0) == Limits{{4, 2, 3, 4, 5, 6, 7, 8, 9}});
    CHECK(limit_table.for_user(1000) == Limits{{1, 2, 3, 3, 2, 6, 7, 8, 9}});
    CHECK_FALSE(config.policy.allows_by_default);
    CHECK_FALSE(config == Config{});
}

TEST_CASE("config: an error is reported with file, line, key and remedy")
{
    const auto [text, expected] = GENERATE(table<std::string, std::string>({
        {"[]", "evfdd.json:1: a list is not valid; give an object, as {\"key\": value}"},
        {"{\n\"colour\": 1}",
         "evfdd.json:2: colour: there is no such key; take it out, or give one of socketMode, "
         "logLevel, resumeGrace, limits, userLimits, policy, events, timers"},
        {R"({"a\n\"b\u0007": 1})",
         R"(evfdd.json:1: a\u000a\"b\u0007: there is no such key; take it out, or give one of )"
         "socketMode, logLevel, resumeGrace, limits, userLimits, policy, events, timers"},
        {"{\"logLevel\": \"info\",\n\"logLevel\": \"info\"}",
         "evfdd.json:2: logLevel: this key is repeated; take one of them out"},
        {"{\"socketMode\": 438}", "evfdd.json:1: socketMode: 438 is not valid; give an octal mode "
                                  "in quotes, such as \"0660\""},
        {"{\"socketMode\": \"0999\"}", "evfdd.json:1: socketMode: \"0999\" is not valid; give an "
                                       "octal mode in quotes, such as \"0660\""},
        {"{\"logLevel\": \"loud\"}", "evfdd.json:1: logLevel: \"loud\" is not valid; give debug, "
                                     "info, warn or error"},
        {"{\"logLevel\": null}",
         "evfdd.json:1: logLevel: null is not valid; give debug, info, warn or error"},
        {"{\"resumeGrace\": \"soon\"}", "evfdd.json:1: resumeGrace: \"soon\" is not valid; give a "
                                        "duration in quotes, such as \"30s\""},
        {"{\"resumeGrace\": 30}", "evfdd.json:1: resumeGrace: 30 is not valid; give a duration in "
                                  "quotes, such as \"30s\""},
        {"{\"limits\": [1]}",
         "evfdd.json:1: limits: a list is not valid; give an object with "
         "objects, connections, subscriptions, waits, monitors, ticksPerSecond, "
         "unreadBytes, unreadDescriptors, callsPerIteration"},
        {"{\"limits\": {\n\"objects\":\n0}}",
         "evfdd.json:3: limits.objects: 0 is too small; give 1 to 20000"},
        {"{\"limits\": {\"monitors\": 65}}",
         "evfdd.json:1: limits.monitors: 65 is too large; give 1 to 64"},
        {"{\"limits\": {\"waits\": -1}}",
         "evfdd.json:1: limits.waits: -1 is too small; give 1 to 8192"},
        {"{\"limits\": {\"waits\": 1.5}}",
         "evfdd.json:1: limits.waits: 1.5 is not valid; give a whole number, 1 to 8192"},
        {"{\"limits\": {\"waits\": 99999999999999999999}}",
         "evfdd.json:1: limits.waits: 99999999999999999999 is not valid; give a whole number, 1 to "
         "8192"},
        {"{\"limits\": {\n\n\"object\": 1}}",
         "evfdd.json:3: limits.object: there is no such key; take it out, or give one of objects, "
         "connections, subscriptions, waits, monitors, ticksPerSecond, unreadBytes, "
         "unreadDescriptors, callsPerIteration"},
        {"{\"userLimits\": {}}",
         "evfdd.json:1: userLimits: an object is not valid; give a list, as [...]"},
        {"{\"userLimits\": [{\"waits\": 1}]}",
         "evfdd.json:1: userLimits[0]: an object is not valid; give an object with a user, as "
         "{\"user\": \"root\", \"waits\": 10}"},
        {"{\"userLimits\": [{\"user\": -1}]}",
         "evfdd.json:1: userLimits[0].user: -1 is not a user; give the name of an existing one, or "
         "a number"},
        {"{\"userLimits\": [{\"user\": \"no-such\", \"waits\": 0}]}",
         "evfdd.json:1: userLimits[0].waits: 0 is too small; give 1 to 8192"},
        {"{\"userLimits\": [{\"user\": 1}, {\"waits\": 0,\n\"user\": 1}]}",
         "evfdd.json:1: userLimits[1].waits: 0 is too small; give 1 to 8192"},
        {"{\"events\": {}}", "evfdd.json:1: events: an object is not valid; give a list, as [...]"},
        {"{\"timers\": \"t\"}", "evfdd.json:1: timers: \"t\" is not valid; give a list, as [...]"},
    }));
    CAPTURE(text);
    CHECK(error_text(text) == expected);
} // namespace

TEST_CASE("config: limits of an unknown user are a warning and apply to nobody")
{
    const ConfigFiles files{R"({"userLimits": [{"user": "no-such", "waits": 1}]})"};
    const auto config = files.load();
    REQUIRE(config);
    CHECK(config->user_limits.empty());
    CHECK(config->warnings ==
          std::vector{files.main() + ":1: userLimits[0].user: there is no user \"no-such\", so "
                                     "these limits apply to nobody; create the user and reload, or "
                                     "take them out"});
}

TEST_CASE("config: a limit accepts its bounds")
{
    const auto config = load_valid_config(R"({"limits": {"objects": 20000, "monitors": 1}})");
    CHECK(config.limits.get(Resource::objects) == 20'000);
    CHECK(config.limits.get(Resource::monitors) == 1);
}

TEST_CASE("config: drop-ins override key by key in the order of their names")
{
    const ConfigFiles files{R"({"socketMode": "0600", "logLevel": "warn",
                                "limits": {"objects": 10, "waits": 10},
                                "events": [{"name": "a"}]})"};
    files.write("conf.d/20.json", R"({"limits": {"objects": 30}, "events": [{"name": "c"}]})");
    files.write("conf.d/10.json", R"({"logLevel": "error", "limits": {"objects": 20},
                                      "events": [{"name": "b"}]})");
    files.write("conf.d/30.json~", "not read");
    files.write("conf.d/.40.json", "not read");
    files.write("conf.d/README", "not read");

    const auto config = files.load();

    REQUIRE(config);
    CHECK(config->socket_mode == 0600);
    CHECK(config->log_level == log::Level::error);
    CHECK(config->limits.get(Resource::objects) == 30);
    CHECK(config->limits.get(Resource::waits) == 10);
    REQUIRE(config->events.size() == 3);
    CHECK(config->events[1].request.name.text() == "b");
    CHECK(config->events[2].request.name.text() == "c");
    CHECK(config_files(files.main()) == std::vector{files.main(),
                                                    files.directory / "conf.d/10.json",
                                                    files.directory / "conf.d/20.json"});
}

TEST_CASE("config: an error in a drop-in names the drop-in")
{
    const ConfigFiles files{"{}"};
    files.write("conf.d/a.json", "{\n\"logLevel\": 1}");
    CHECK(error_text(files).starts_with("conf.d/a.json:2: logLevel: 1 is not valid"));
}

TEST_CASE("config: a missing file is an error unless it is optional")
{
    const ConfigFiles files;
    CHECK(error_text(files) == "evfdd.json: it cannot be read: No such file or directory; "
                               "correct that, or name another");
    CHECK(load_config(files.main(), IfMissing::use_defaults) == Config{});

    files.write("conf.d/a.json", R"({"logLevel": "debug"})");
    const auto config = load_config(files.main(), IfMissing::use_defaults);
    REQUIRE(config);
    CHECK(config->log_level == log::Level::debug);
}

TEST_CASE("config: a missing directory of drop-ins is accepted")
{
    const ConfigFiles files{"{}"};
    std::filesystem::remove_all(files.directory / "conf.d");
    CHECK(files.load() == Config{});
}

TEST_CASE("config: a drop-in that is a dangling link is an error")
{
    const ConfigFiles files{"{}"};
    std::filesystem::create_symlink("nowhere", files.directory / "conf.d/a.json");
    CHECK(error_text(files).starts_with("conf.d/a.json: it cannot be read"));
}

TEST_CASE("config: a file that is not regular is refused without blocking")
{
    const ConfigFiles files;
    SECTION("a directory")
    {
        std::filesystem::create_directory(files.main());
    }
    SECTION("a FIFO without a writer")
    {
        REQUIRE(::mkfifo(files.main().c_str(), 0600) == 0);
    }
    SECTION("a device")
    {
        std::filesystem::create_symlink("/dev/zero", files.main());
    }
    CHECK(error_text(files) == "evfdd.json: it is not a regular file; name one");
}

TEST_CASE("config: conf.d must be a directory")
{
    const ConfigFiles files{"{}"};
    std::filesystem::remove_all(files.directory / "conf.d");
    files.write("conf.d", "");
    CHECK(error_text(files).starts_with("conf.d: it cannot be read: Not a directory"));
}

TEST_CASE("config: an unreadable file is an error")
{
    const ConfigFiles files{"{}"};
    REQUIRE(::chmod(files.main().c_str(), 0) == 0);
    const NonRootScope not_root;
    CHECK(error_text(files).starts_with("evfdd.json: it cannot be read: Permission denied"));
}

TEST_CASE("config: the size of a file is limited")
{
    const std::string most(max_config_bytes - 2, ' ');
    CHECK(error_text("{}" + most).empty());
    CHECK(error_text("{} " + most) == "evfdd.json: it is too large; the limit is 1048576 bytes");
}

TEST_CASE("config: the shipped file lists every key with its default")
{
    const std::string shipped = EVFDD_SOURCE_DIR "/config/evfdd.json";
    const auto config = load_config(shipped);
    INFO((config ? std::string{} : config.error().message()));
    REQUIRE(config);
    CHECK(*config == Config{});

    const auto text = contents_of(shipped);
    for (const auto& key : config_keys())
        CHECK(text.contains(fmt::format("\"{}\"", key.substr(key.rfind('.') + 1))));
    CHECK(text.contains("\"0666\""));
    for (const auto& [resource, name] : enum_names(Resource{}))
        CHECK(text.contains(fmt::format("\"{}\": {}", name, default_limits.get(resource))));
}

TEST_CASE("config: the manual names every key")
{
    const auto manual = contents_of(EVFDD_SOURCE_DIR "/daemon/config/evfdd.json.5.scd");
    for (const auto& key : config_keys())
        CHECK(manual.contains(fmt::format("*{}*", key.substr(key.rfind('.') + 1))));
}

TEST_CASE("config: the mode of a socket is octal")
{
    CHECK(parse_socket_mode("0660") == mode_t{0660});
    CHECK(parse_socket_mode("777") == mode_t{0777});
    const auto* bad = GENERATE("", "8", "rw", "01000", "-1", "0660 ", "0x1f");
    CHECK_FALSE(parse_socket_mode(bad));
}

} // namespace
} // namespace evfd::daemon
