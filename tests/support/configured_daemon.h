// A daemon with a configuration file of its own, which is read again.
#pragma once

#include "tests/support/daemon_process.h"

#include <signal.h>

namespace evfd::e2e {

// A daemon with a configuration that can be changed.
class Configured {
public:
    explicit Configured(std::string_view text) : daemon{start(text)} {}
    // Until the daemon has said so in its log.
    void reload(std::string_view text, std::string_view said)
    {
        write_file(file, text);
        const auto before = daemon.log().size();
        daemon.process().signal(SIGHUP);
        REQUIRE(eventually([&] { return daemon.log().substr(before).contains(said); }));
    }

    TemporaryDirectory directory;
    std::string file = directory / "some.json";
    Daemon daemon;

private:
    Daemon start(std::string_view text)
    {
        write_file(file, text);
        return Daemon{{"--config", file}};
    }
};

inline constexpr auto taken = "the configuration was read again";
inline constexpr auto refused = "the configuration stays as it was";

} // namespace evfd::e2e
