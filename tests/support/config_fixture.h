// Functions for unit tests that write configuration files into a temporary directory and load the
// files.
#pragma once

#include "daemon/config/config.h"
#include "tests/support/service_fixture.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace evfd::daemon {

struct ConfigFiles {
    ConfigFiles() { std::filesystem::create_directory(directory / "conf.d"); }
    explicit ConfigFiles(std::string_view text) : ConfigFiles() { write("evfdd.json", text); }

    void write(std::string_view file, std::string_view text) const
    {
        std::ofstream{directory / file} << text;
    }
    std::expected<Config, ConfigError> load() const { return load_config(main()); }
    std::string main() const { return directory / "evfdd.json"; }

    TemporaryDirectory directory;
};

// Returns the configuration that `text` describes. The text must be valid.
inline Config load_valid_config(std::string_view text)
{
    const ConfigFiles files{text};
    auto config = files.load();
    INFO((config ? std::string{} : config.error().message()));
    REQUIRE(config);
    return *std::move(config);
}

// Returns the error message for the configuration, without the path of the directory:
// "evfdd.json:3: limits.objects: ...". Returns an empty string for a valid configuration.
inline std::string error_text(const ConfigFiles& files)
{
    const auto config = files.load();
    if (config)
        return {};
    auto text = config.error().message();
    const auto directory = files.directory / "";
    for (auto at = text.find(directory); at != text.npos; at = text.find(directory))
        text.erase(at, directory.size());
    return text;
}

inline std::string error_text(std::string_view text)
{
    return error_text(ConfigFiles{text});
}

} // namespace evfd::daemon
