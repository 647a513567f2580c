// Tests of listing many objects.
#include "tests/support/daemon_process.h"

#include <algorithm>
#include <random>
#include <sstream>

namespace evfd::e2e {
namespace {

constexpr std::size_t object_count = 20'000;

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in{text};
    for (std::string line; std::getline(in, line);)
        lines.push_back(line);
    return lines;
}

// Creates many objects in random order, and returns their names. The objects are pulses, because a
// pulse needs no descriptor in the daemon.
std::vector<std::string> create_many(const DaemonProcess& daemon)
{
    std::vector<std::string> names;
    for (std::size_t i = 0; i < object_count; ++i)
        names.push_back("of/many/" + std::to_string(i));
    std::ranges::shuffle(names, std::mt19937{2});
    WireClient wire{daemon.path()};
    constexpr std::size_t batch = 500;
    for (std::size_t i = 0; i < object_count; i += batch) {
        for (std::size_t j = i; j < i + batch; ++j)
            wire.call("CreateEvent", {{"name", names[j]}, {"mode", "pulse"}});
        for (std::size_t j = i; j < i + batch; ++j)
            REQUIRE(wire.reply()["parameters"]["created"] == true);
    }
    std::ranges::sort(names);
    return names;
}

TEST_CASE("list looks up each user once")
{
    skip_unless_strace();
    const DaemonProcess daemon;
    for (const auto* name : {"a", "b", "c"})
        daemon.checked_ctl({"create", name});
    auto command = daemon.ctl_command({"list"});
    const auto trace = daemon.directory() / "trace";
    command.argv.insert(command.argv.begin(),
                        {"/usr/bin/strace", "-f", "-o", trace, "-e", "trace=execve"});
    // Disables the leak check of a sanitizer, because the check cannot run under strace(1).
    command.environment.push_back("LSAN_OPTIONS=detect_leaks=0");
    REQUIRE(run(std::move(command)).status == 0);
    int lookups = 0;
    for (const auto& line : lines_of(read_file(trace)))
        lookups += line.contains("\"getent\", \"passwd\"") && line.ends_with("= 0") ? 1 : 0;
    CHECK(lookups == 1);
}

TEST_CASE("a list of 20,000 names is complete and sorted, as text and as JSON")
{
    const DaemonProcess daemon;
    const auto names = create_many(daemon);

    const auto lines = lines_of(daemon.checked_ctl({"list"}));
    REQUIRE(lines.size() == object_count);
    const auto objects = lines_of(daemon.checked_ctl({"list", "--json"}));
    REQUIRE(objects.size() == object_count);

    std::size_t wrong = 0;
    for (std::size_t i = 0; i < object_count; ++i)
        if (!lines[i].starts_with(names[i] + "\tevent\tpulse\t0 subscribers\t0644\t") ||
            Json::parse(objects[i])["name"] != names[i])
            ++wrong;
    CHECK(wrong == 0);
    CHECK(lines_of(daemon.checked_ctl({"list", "of/many/1999?"})).size() == 10);

    const auto one_more = daemon.ctl({"create", "one/more", "--mode", "pulse"});
    CHECK(one_more.status == 4);
    CHECK(one_more.err.contains("20000 objects"));
    daemon.checked_ctl({"delete", names.front()});
    daemon.checked_ctl({"create", "one/more", "--mode", "pulse"});
}

TEST_CASE("a list pattern is a glob in which a star does not match a slash")
{
    const DaemonProcess daemon;
    for (const auto* name : {"db/main/ready", "db/ready", "db/reader", "ready", "web.1", "web.2"})
        daemon.checked_ctl({"create", name});
    const auto [pattern, wanted] = GENERATE(table<std::string, std::vector<std::string>>({
        {"*", {"ready", "web.1", "web.2"}},
        {"db/*", {"db/reader", "db/ready"}},
        {"*/*/*", {"db/main/ready"}},
        {"db/read?", {"db/ready"}},
        {"web.[2-9]", {"web.2"}},
        {"ready", {"ready"}},
        {"nothing", {}},
    }));
    std::vector<std::string> listed;
    for (const auto& line : lines_of(daemon.checked_ctl({"list", pattern, "--json"})))
        listed.push_back(Json::parse(line)["name"]);
    CHECK(listed == wanted);
    CHECK(lines_of(daemon.checked_ctl({"list"})).size() == 6);
}

TEST_CASE("a list in a pipe has one tab-separated line for each object, without heading and colour")
{
    const DaemonProcess daemon;
    CHECK(daemon.checked_ctl({"list"}).empty());
    daemon.checked_ctl({"create", "a", "--permissions", "0600"});
    daemon.checked_ctl(
        {"create", "b", "--mode", "auto", "--initial", "1", "--permissions", "0666"});
    daemon.checked_ctl(
        {"create", "c", "--mode", "semaphore", "--initial", "1", "--permissions", "0644"});
    const auto lines = lines_of(daemon.checked_ctl({"list"}));
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].starts_with("a\tevent\tmanual\tclear\t0600\t"));
    CHECK(lines[1].starts_with("b\tevent\tauto\tset\t0666\t"));
    CHECK(lines[2].starts_with("c\tevent\tsemaphore\t1 token\t0644\t"));
}

TEST_CASE("list ends when its reader closes the pipe")
{
    const DaemonProcess daemon;
    create_many(daemon);
    auto listing = std::make_optional<OutputReader>(daemon.ctl_command({"list"}));
    REQUIRE(listing->read_line());
    listing->close_output();
    CHECK(listing->wait() != 0);
}

} // namespace
} // namespace evfd::e2e
