#include "daemon/options.h"

#include "daemon/config/config.h"
#include "daemon/config/settings.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

namespace evfd::daemon {

namespace {

constexpr int exit_usage = 2;

const std::string without_kernel_feature = "--without-kernel-feature";

KernelFeature parse_feature(const std::string& name)
{
    const auto feature = kernel_feature(name);
    if (!feature)
        throw CLI::ValidationError{without_kernel_feature,
                                   fmt::format("'{}' is not a kernel feature; give one of {}", name,
                                               kernel_feature_names())};
    return *feature;
}

} // namespace

Options parse_options(int argc, char** argv)
{
    Options options;
    CLI::App app{"Serve named events and timers, and pass them to clients as file descriptors."};
    app.set_version_flag("--version", std::string{"evfdd "} + EVFDD_VERSION);
    app.add_option("--socket", options.socket,
                   "Listen on PATH; without it, on the sockets passed by LISTEN_FDS")
        ->type_name("PATH");
    std::string mode;
    app.add_option("--socket-mode", mode,
                   "Set the mode of the socket file, as for chmod; default: as configured")
        ->type_name("MODE")
        ->check([&](const std::string& text) {
            const auto parsed = SocketMode::parse(text);
            if (!parsed)
                return std::string{"a mode is octal, such as 0660"};
            options.socket_mode = parsed->bits;
            return std::string{};
        });
    std::string idle;
    app.add_option("--idle-exit", idle,
                   "Exit after DURATION without clients and objects, such as 30s")
        ->type_name("DURATION")
        ->check([&](const std::string& text) {
            options.idle_exit = parse_duration(text);
            return options.idle_exit
                       ? std::string{}
                       : std::string{"a duration is written like 250us, 1.5s, 1m30s or 2"};
        });
    app.add_flag("--background", options.background,
                 "Return as soon as clients can connect, and continue in the background");
    app.add_flag("--supervise", options.supervise,
                 "Run the daemon as a child, hold its state, and restart it whenever it fails; "
                 "requires --socket");
    std::string level;
    app.add_option(
           "--log-level", level,
           "Log messages of LEVEL and above: debug, info, warn or error; default: as configured")
        ->type_name("LEVEL")
        ->check([&](const std::string& text) {
            options.log_level = parse_enum<log::Level>(text);
            return options.log_level ? std::string{}
                                     : std::string{"a level is debug, info, warn or error"};
        });
    app.add_option("--config", options.config,
                   std::string{"Read FILE instead of "} + default_config_path)
        ->type_name("FILE");
    app.add_option_function<std::string>(
           "--check-config", [&](const std::string& file) { options.check_config = file; },
           std::string{"Check whether FILE is a valid configuration, report what is wrong, and "
                       "exit; default: "} +
               default_config_path)
        ->type_name("FILE")
        ->expected(0, 1);
    app.add_option("--check-socket", options.check_socket,
                   "Check that no process listens on PATH, report the one that does, and exit; for "
                   "a unit that will listen there itself")
        ->type_name("PATH");
    app.add_option_function<std::string>(
           "--print-journal", [&](const std::string& file) { options.print_journal = file; },
           "Print the records of the journal in FILE as lines of JSON, and exit")
        ->type_name("FILE");
    std::vector<std::string> features;
    // This option is for tests, and is not shown in the help.
    app.add_option(without_kernel_feature, features)->group("");
    try {
        app.parse(argc, argv);
        for (const auto& name : features)
            options.disabled_features.push_back(parse_feature(name));
        if (options.supervise && options.socket.empty())
            throw CLI::RequiredError{
                "--supervise needs --socket PATH; without it systemd keeps its state"};
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        std::exit(code == 0 ? 0 : exit_usage);
    }
    for (auto* path : {&options.socket, &options.config})
        // A relative path would become invalid, because the daemon changes its working directory.
        if (!path->empty())
            *path = std::filesystem::absolute(*path);
    return options;
}

} // namespace evfd::daemon
