#include "daemon/options.h"

#include "tests/support/catch.h"

#include <filesystem>
#include <string>
#include <vector>

namespace evfd::daemon {
namespace {

Options parsed(std::vector<std::string> arguments)
{
    arguments.insert(arguments.begin(), "evfdd");
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    return parse_options(static_cast<int>(argv.size()), argv.data());
}

TEST_CASE("an absent option is left to the configuration")
{
    const auto options = parsed({});
    CHECK_FALSE(options.socket_mode);
    CHECK_FALSE(options.log_level);
    CHECK(options.config.empty());
    CHECK_FALSE(options.check_config);
}

TEST_CASE("a given option is parsed")
{
    const auto options =
        parsed({"--socket-mode", "0660", "--log-level", "error", "--check-config", "some.json"});
    CHECK(options.socket_mode == mode_t{0660});
    CHECK(options.log_level == log::Level::error);
    CHECK(options.check_config == "some.json");
}

TEST_CASE("a kernel feature to do without is parsed by its name")
{
    CHECK(parsed({}).disabled_features.empty());
    const auto options = parsed({"--without-kernel-feature", "pass-rights"});
    REQUIRE(options.disabled_features.size() == 1);
    CHECK(options.disabled_features[0].flag == &KernelFeatures::pass_rights);
}

TEST_CASE("a configuration can be checked without being named")
{
    CHECK(parsed({"--check-config"}).check_config == "");
    CHECK(parsed({"--check-config", "--log-level", "error"}).check_config == "");
}

TEST_CASE("a relative configuration path stays valid after the working directory changes")
{
    const auto options = parsed({"--config", "some.json"});
    CHECK(options.config == std::filesystem::absolute("some.json"));
}

} // namespace
} // namespace evfd::daemon
