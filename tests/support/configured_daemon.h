// A daemon with a configuration file that the test rewrites and reloads.
#pragma once

#include "tests/support/daemon_process.h"

#include <signal.h>

namespace evfd::e2e {

class ReloadableDaemon {
public:
    explicit ReloadableDaemon(std::string_view text) : daemon{start(text)} {}
    // Rewrites the configuration file and makes the daemon reload it. Returns once the daemon has
    // logged `message`.
    void reload(std::string_view text, std::string_view message)
    {
        write_file(file, text);
        const auto before = daemon.log().size();
        daemon.process().signal(SIGHUP);
        REQUIRE(poll_until([&] { return daemon.log().substr(before).contains(message); }));
    }

    TemporaryDirectory directory;
    std::string file = directory / "some.json";
    DaemonProcess daemon;

private:
    DaemonProcess start(std::string_view text)
    {
        write_file(file, text);
        return DaemonProcess{{"--config", file}};
    }
};

inline constexpr auto reload_succeeded = "the configuration was reloaded";
inline constexpr auto reload_failed = "the configuration was not reloaded";

} // namespace evfd::e2e
