#include "daemon/options.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>

namespace evfd::daemon {

namespace {

constexpr int exit_usage = 2;

} // namespace

Options parse_options(int argc, char** argv)
{
    Options options;
    CLI::App app{"evfdd holds named events and hands them out as file descriptors."};
    app.set_version_flag("--version", std::string{"evfdd "} + EVFDD_VERSION);
    app.add_option("--socket", options.socket,
                   "Listen here; without it, on the sockets passed by LISTEN_FDS")
        ->type_name("PATH");
    std::string mode;
    app.add_option("--socket-mode", mode, "Who may connect, as for chmod; 0666 if not given")
        ->type_name("MODE")
        ->check([&](const std::string& text) {
            char* end = nullptr;
            const auto bits = std::strtoul(text.c_str(), &end, 8);
            if (text.empty() || *end != '\0' || bits > 0777)
                return std::string{"a mode is octal, such as 0660"};
            options.socket_mode = static_cast<mode_t>(bits);
            return std::string{};
        });
    std::string idle;
    app.add_option("--idle-exit", idle, "End after so long with no client and no object, as 30s")
        ->type_name("DURATION")
        ->check([&](const std::string& text) {
            options.idle_exit = parse_duration(text);
            return options.idle_exit ? std::string{}
                                     : std::string{"a duration is such as 250us, 1.5s, 1m30s or 2"};
        });
    app.add_flag("--background", options.background,
                 "Return as soon as clients can connect, and go on in the background");
    app.add_flag("--guard", options.guard,
                 "Run the daemon as a child, keep what it must not lose, and start it again "
                 "whenever it dies; needs --socket");
    app.add_option("--log-level", options.log_level, "What to log to stderr; info if not given")
        ->type_name("LEVEL")
        ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
    try {
        app.parse(argc, argv);
        if (options.guard && options.socket.empty())
            throw CLI::RequiredError{
                "--guard needs --socket PATH; without it systemd is the guard"};
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        std::exit(code == 0 ? 0 : exit_usage);
    }
    if (!options.socket.empty())
        options.socket = std::filesystem::absolute(options.socket);
    return options;
}

} // namespace evfd::daemon
