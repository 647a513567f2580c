// A daemon with a configuration file of its own, which is read again.
#pragma once

#include "tests/support/daemon_process.h"

#include <signal.h>

namespace evfd::e2e {

// A daemon with a configuration that can be changed.
class ReloadableDaemon {
public:
    explicit ReloadableDaemon(std::string_view text) : daemon{start(text)} {}
    // Until the daemon has said so in its log.
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

inline constexpr auto reload_succeeded = "the configuration was read again";
inline constexpr auto reload_failed = "the configuration stays as it was";

} // namespace evfd::e2e
