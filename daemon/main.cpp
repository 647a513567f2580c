// evfdd: from the command line to a running daemon, or to its guard.
#include "daemon/background.h"
#include "daemon/config.h"
#include "daemon/guard.h"
#include "daemon/listening_socket.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/program.h"

#include <fmt/format.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

namespace {

constexpr int exit_already_running = 75; // EX_TEMPFAIL, sysexits(3)

// Reads a configuration and does nothing else with it.
int check_config(const std::string& path)
{
    const auto config = load_config(path);
    if (!config) {
        fmt::print(stderr, "{}\n", config.error().message());
        return EXIT_FAILURE;
    }
    for (const auto& file : config_files(path).value_or(std::vector{path}))
        fmt::print("{} is sound\n", file);
    return EXIT_SUCCESS;
}

// What runs beneath a guard: this program, as the path that it was started from will have it then.
std::vector<std::string> command_of(const Options& options)
{
    std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string()};
    if (options.log_level)
        command.insert(command.end(), {"--log-level", std::string{word(*options.log_level)}});
    if (options.idle_exit)
        command.insert(command.end(),
                       {"--idle-exit", fmt::format("{}ns", options.idle_exit->count())});
    if (!options.config.empty())
        command.insert(command.end(), {"--config", options.config});
    for (const auto& feature : options.without)
        command.insert(command.end(), {"--without-kernel-feature", std::string{feature.name}});
    return command;
}

bool is_behind_guard_in_background()
{
    const char* guard = std::getenv(guard_variable);
    return guard && std::string_view{guard} == guard_in_background;
}

// Starts the daemon, again and again.
int run_guard(const Options& options, const Config& config, Background* background)
{
    ::setenv(guard_variable, background ? guard_in_background : "foreground", 1);
    Guard guard{options.socket, config.socket_mode, command_of(options), [&] {
                    ::sd_notify(0, "READY=1");
                    if (!background)
                        return;
                    background->tell(EXIT_SUCCESS);
                    Background::leave_terminal();
                }};
    return guard.run();
}

int run(const Options& options, const Config& config, Background* background)
{
    Program program{options, config};
    if (background)
        background->tell(EXIT_SUCCESS);
    if (background || is_behind_guard_in_background())
        Background::leave_terminal();
    program.run();
    program.leave();
    return EXIT_SUCCESS;
}

int start(const Options& options)
{
    if (!options.check_config.empty())
        return check_config(options.check_config);
    ::signal(SIGPIPE, SIG_IGN); // Of a log that nobody reads any more.
    log::set_up(options.log_level.value_or(Config{}.log_level));
    std::unique_ptr<Background> background;
    const auto give_up = [&](const std::exception& error, log::Level level, int code) {
        const std::string_view what = error.what();
        log::write(level, {}, "{}", fmt::make_format_args(what));
        if (background)
            background->tell(code);
        return code;
    };
    try {
        if (options.background)
            background = std::make_unique<Background>();
        const auto config = configuration_of(options);
        if (!config)
            throw std::runtime_error{config.error().message()};
        log::set_level(config->log_level);
        return options.guard ? run_guard(options, *config, background.get())
                             : run(options, *config, background.get());
    } catch (const AlreadyRunning& error) { // No error where it was started on demand: it is there.
        return give_up(error, log::Level::warn, exit_already_running);
    } catch (const std::exception& error) {
        return give_up(error, log::Level::critical, EXIT_FAILURE);
    }
}

} // namespace

} // namespace evfd::daemon

int main(int argc, char** argv)
{
    return evfd::daemon::start(evfd::daemon::parse_options(argc, argv));
}
