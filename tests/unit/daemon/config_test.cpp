#include "daemon/config/config.h"

#include "daemon/config/settings.h"
#include "daemon/limits.h"
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

// Adds the keys of the struct T, and of each struct nested in T, to a list. For a container, adds
// the keys of its elements.
template <class T>
struct Keys {
    static void add(std::vector<std::string>& keys)
    {
        if constexpr (Message<T>) {
            StructReader<T>{}.visit_names([&](std::string_view key) { keys.emplace_back(key); });
            with_fields<T>([&](const auto&... listed) { (add_member(listed, keys), ...); });
        }
    }
    template <class M>
    static void add_member(const Field<T, M>&, std::vector<std::string>& keys)
    {
        Keys<M>::add(keys);
    }
    template <class M, std::size_t n>
    static void add_member(const Part<T, M, n>&, std::vector<std::string>&)
    {
    }
};
template <class T>
struct Keys<std::optional<T>> : Keys<T> {};
template <class T>
struct Keys<std::vector<T>> : Keys<T> {};
template <class T>
struct Keys<Located<T>> : Keys<T> {};
template <NamedEnum E, class T>
struct Keys<EnumMap<E, T>> {
    static void add(std::vector<std::string>& keys)
    {
        StructReader<EnumMap<E, T>>{}.visit_names(
            [&](std::string_view key) { keys.emplace_back(key); });
    }
};

// Returns every valid key, such as "limits", "objects", "events" and "name".
template <class T>
std::vector<std::string> keys_of()
{
    std::vector<std::string> keys;
    Keys<T>::add(keys);
    return keys;
}

// Changes the effective uid from root to nobody as long as the object exists, because root can read
// every file.
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
        "limits": {"objects": 1, "openedEvents": 10, "connections": 2, "subscriptions": 3, "waits": 4, "monitors": 5,
                   "ticksPerSecond": 6, "unreadBytes": 7, "unreadDescriptors": 8,
                   "callsPerIteration": 9},
        "userLimits": [{"user": 1000, "waits": 3}, {"user": "root", "objects": 4},
                       {"user": "1000", "monitors": 2}],
        "policy": {"default": "deny"}
    })");
    CHECK(config.socket_mode == 0660);
    CHECK(config.log_level == log::Level::debug);
    CHECK(config.resume_grace == 90s);
    CHECK(config.limits == Limits{{1, 10, 2, 3, 4, 5, 6, 7, 8, 9}});
    const auto limit_table = config.limit_table();
    CHECK(limit_table.for_user(42) == config.limits);
    CHECK(limit_table.for_user(0) == Limits{{4, 10, 2, 3, 4, 5, 6, 7, 8, 9}});
    CHECK(limit_table.for_user(1000) == Limits{{1, 10, 2, 3, 3, 2, 6, 7, 8, 9}});
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
                                        "duration in quotes, such as \"1.5s\" or \"1m30s\""},
        {"{\"resumeGrace\": 30}", "evfdd.json:1: resumeGrace: 30 is not valid; give a duration in "
                                  "quotes, such as \"1.5s\" or \"1m30s\""},
        {"{\"limits\": [1]}",
         "evfdd.json:1: limits: a list is not valid; give an object with "
         "objects, openedEvents, connections, subscriptions, waits, monitors, ticksPerSecond, "
         "unreadBytes, unreadDescriptors, callsPerIteration"},
        {"{\"limits\": {\n\"objects\":\n0}}",
         "evfdd.json:3: limits.objects: 0 is too small; give 1 to 2000000"},
        {"{\"limits\": {\"monitors\": 65}}",
         "evfdd.json:1: limits.monitors: 65 is too large; give 1 to 64"},
        {"{\"limits\": {\"waits\": -1}}",
         "evfdd.json:1: limits.waits: -1 is too small; give 1 to 8192"},
        {"{\"limits\": {\"waits\": 1.5}}",
         "evfdd.json:1: limits.waits: 1.5 is not valid; give a whole number"},
        {"{\"limits\": {\"waits\": 99999999999999999999}}",
         "evfdd.json:1: limits.waits: 99999999999999999999 is not valid; give a whole number"},
        {"{\"limits\": {\n\n\"object\": 1}}",
         "evfdd.json:3: limits.object: there is no such key; take it out, or give one of objects, "
         "openedEvents, connections, subscriptions, waits, monitors, ticksPerSecond, unreadBytes, "
         "unreadDescriptors, callsPerIteration"},
        {"{\"userLimits\": {}}",
         "evfdd.json:1: userLimits: an object is not valid; give a list, as [...]"},
        {"{\"userLimits\": [{\"waits\": 1}]}", "evfdd.json:1: userLimits[0]: it has no user; give "
                                               "one: the name of an existing user, or a "
                                               "number"},
        {"{\"userLimits\": [{\"user\": -1}]}",
         "evfdd.json:1: userLimits[0].user: -1 is not valid; give the name of an existing user, or "
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
}

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

TEST_CASE("config: a malformed file is refused with line, key and reason")
{
    const auto empty = "1: the file is empty; write {} into it, or delete it"s;
    const auto not_json = ": this is not JSON; correct it: "s;
    const auto repeated = ": this key is repeated; take one of them out"s;
    const auto [text, expected] = GENERATE_COPY(table<std::string, std::string>({
        {"", empty},
        {"\n \t\r\n", empty},
        {"{\n\"limits\": {},\n}", "3" + not_json + "unexpected '}'; expected string literal"},
        {"{}\n\n{}", "3" + not_json + "unexpected '{'; expected end of input"},
        {"{\n/* never closed\n\n", "3" + not_json + "invalid comment; missing closing '*/'"},
        {"{\"limits\": 1e999}", "1" + not_json + "number overflow parsing '1e999'"},
        {std::string{"{}\n\0{", 5}, "2" + not_json + "unexpected zero byte"},
        {"{\"limits\": {},\n\"events\": [],\n\"limits\": {}}", "3: limits" + repeated},
        {"{\"limits\": {\"waits\": 1,\n\n\"waits\": 1}}", "3: limits.waits" + repeated},
        {"{\"events\": [{\"name\": \"a\"},\n{\"name\": \"b\",\n\"name\": \"b\"}]}",
         "3: events[1].name" + repeated},
        {"{\"policy\": {\"rules\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}}",
         "1: policy.rules[0]: a list is not valid; give an object, as {\"prefix\": \"db/\", "
         "\"deny\": [\"create\"]}"},
        {"null", "1: null is not valid; give an object, as {\"key\": value}"},
    }));
    CAPTURE(text);
    CHECK(error_text(text) == "evfdd.json:" + expected);
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
    for (const auto& key : keys_of<FileSettings>())
        CHECK(text.contains(fmt::format("\"{}\"", key)));
    CHECK(text.contains("\"0666\""));
    for (const auto& [resource, name] : enum_names(Resource{}))
        CHECK(text.contains(fmt::format("\"{}\": {}", name, default_limits.get(resource))));
}

TEST_CASE("config: the manual names every key")
{
    const auto manual = contents_of(EVFDD_SOURCE_DIR "/daemon/config/evfdd.json.5.scd");
    for (const auto& key : keys_of<FileSettings>())
        CHECK(manual.contains(fmt::format("*{}*", key)));
}

TEST_CASE("config: the mode of a socket is octal")
{
    CHECK(SocketMode::parse("0660")->bits == mode_t{0660});
    CHECK(SocketMode::parse("777")->bits == mode_t{0777});
    const auto* bad = GENERATE("", "8", "rw", "01000", "-1", "0660 ", "0x1f");
    CHECK_FALSE(SocketMode::parse(bad));
}

} // namespace
} // namespace evfd::daemon
