// evfdd --check-config, as the administrator sees it.
#include "tests/e2e_fixture.h"
#include "tests/paths.h"

#include <filesystem>
#include <fstream>

namespace evfd::e2e {
namespace {

Ran check(const std::string& file)
{
    return run({.words = {EVFDD_DAEMON, "--check-config", file}});
}

TEST_CASE("a sound configuration is said to be, with its drop-ins")
{
    const TemporaryDirectory directory;
    const auto main = directory / "some.json";
    const auto drop_in = directory / "conf.d/a.json";
    std::ofstream{main} << "{} // all as by default\n";
    std::filesystem::create_directory(directory / "conf.d");
    std::ofstream{drop_in} << "{\"events\": [{\"name\": \"a\"}]}";

    const auto ran = check(main);

    CHECK(ran.status == 0);
    CHECK(ran.out == main + " is sound\n" + drop_in + " is sound\n");
    CHECK(ran.err.empty());
}

TEST_CASE("what is wrong with a configuration is said in one line")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    std::ofstream{file} << "{\n\"limits\": {\"objects\": 0}}";

    const auto ran = check(file);

    CHECK(ran.status == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == file + ":2: limits.objects: 0 is too small; give 1 to 20000\n");
}

TEST_CASE("a configuration that is named and missing is not sound")
{
    const TemporaryDirectory directory;
    const auto ran = check(directory / "some.json");
    CHECK(ran.status == 1);
    CHECK(ran.err.contains("some.json: it cannot be read: No such file or directory"));
}

} // namespace
} // namespace evfd::e2e
